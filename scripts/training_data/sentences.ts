/** Shorter ones are headings and calls. */
const SHORTEST = 30;

/** The sentences of a text, without those that are too short to be any. */
export function sentencesOf(text: string): string[] {
  return text.replace(/\s+/g, " ").split(/(?<=[.!?]) /).filter(({ length }) => length > SHORTEST);
}
