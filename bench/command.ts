import process from "node:process";
import { KvjudgeError } from "../mod.ts";

/**
 * Gives the counts among the settings of a command.
 *
 * @throws {KvjudgeError} If a setting is no integer of at least 1.
 */
export function countsOf<Name extends string>(
  settings: Readonly<Record<Name, string | boolean>>,
): (name: Name) => number {
  return (name) => {
    const number = Number(settings[name]);
    if (Number.isSafeInteger(number) && number >= 1) return number;
    throw new KvjudgeError(
      `Cannot measure with --${name} ${settings[name]}: give an integer of at least 1`,
    );
  };
}

/** Runs a command. A mistake of who called it is told in one sentence, with exit status 2. */
export async function runCommand(
  main: (args: readonly string[]) => Promise<void>,
): Promise<void> {
  try {
    await main(Deno.args);
  } catch (error) {
    if (!(error instanceof KvjudgeError) && !(error instanceof TypeError)) throw error;
    console.error(error.message);
    process.exitCode = 2;
  }
}
