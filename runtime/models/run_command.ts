import type { RunCommand } from "./fetch_context.ts";

/** Runs a program on this machine; it is killed when the signal aborts. */
export const runCommand: RunCommand = async (command, args, { env, signal }) => {
  try {
    const output = await new Deno.Command(command, {
      args: [...args],
      env: { ...env },
      signal,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    return { code: output.code, error: new TextDecoder().decode(output.stderr) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.NotCapable) return { code: 126, error: error.message };
    throw error;
  }
};
