/** Runs a program and gives its output back; its errors are shown. */
export async function output(
  program: string,
  args: readonly string[],
  { folder, env = {} }: {
    readonly folder?: string;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<string> {
  const { success, stdout } = await new Deno.Command(program, {
    args: [...args],
    ...(folder === undefined ? {} : { cwd: folder }),
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`Cannot go on: ${program} ${args[0] ?? ""} failed`);
  return new TextDecoder().decode(stdout);
}
