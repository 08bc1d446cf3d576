/** For the card of what a command makes: what was run, by which version, today. */
export function originOf(command: string, version: string) {
  return { command, version, date: new Date().toISOString().slice(0, 10) };
}
