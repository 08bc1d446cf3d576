import { ValidationError } from "@cliffy/command";
import { OptionError } from "../policies/policy.ts";
import { KvjudgeError } from "../runtime/errors.ts";
import { INTERRUPTED_EXIT_CODE } from "./_interrupt.ts";
import { Interrupted } from "./_subcommand.ts";

/** How a failure ends the process. */
export interface ErrorReport {
  /** For standard error; empty if there is nothing to say. */
  readonly text: string;
  readonly exitCode: number;
}

/** Options of the library whose flags have another name, or none. */
const FLAGS: Readonly<Record<string, string>> = {
  "adapters.projections": "--projections",
  "adapters.rank": "--rank",
  "adapters.rate": "--adapter-lr",
  initial: "--init",
  rate: "--lr",
  ratios: "--least and --most",
};

/** Options whose flag one command alone has. */
const ONE_COMMAND: Readonly<Record<string, string>> = { inPieces: "kvjudge generate" };

/**
 * A message of the library in the words of the command line: its options, in quotes, become flags.
 *
 * @param options Those that the message quotes.
 * @param command The command that ran, such as `kvjudge generate`.
 */
export function inFlags(
  { message, options }: Pick<KvjudgeError, "message" | "options">,
  command: string,
): string {
  const flag = (option: string) => {
    const only = ONE_COMMAND[option];
    return only === undefined || only === command ? ownFlag(option) : `${only} ${ownFlag(option)}`;
  };
  const ownFlag = (option: string) =>
    FLAGS[option] ?? `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  return options.reduce((text, option) => text.replaceAll(`'${option}'`, flag(option)), message);
}

/**
 * Turns what was thrown into words: a sentence for what the user can mend, a stack and a request to
 * report it for anything else.
 *
 * @param command The command that ran, such as `kvjudge generate`.
 * @param debug Whether to show the stack in any case.
 */
export function reportError(error: unknown, command: string, debug: boolean): ErrorReport {
  const stack = debug ? `\n${stackOf(error)}` : "";
  if (error instanceof Interrupted) return { text: "", exitCode: INTERRUPTED_EXIT_CODE };
  // The reader of the output has closed it, as `head` does: no failure.
  if (error instanceof Deno.errors.BrokenPipe) return { text: "", exitCode: 0 };
  if (error instanceof ValidationError) {
    const unknown = error.message.startsWith("Unknown command");
    const helped = unknown ? command.replace(/(?<=kvjudge \w+) .*/, "") : command;
    const hint = `hint: ${helped} --help shows what can be given`;
    return { text: `error: ${error.message}\n${hint}${stack}`, exitCode: error.exitCode };
  }
  if (error instanceof KvjudgeError) {
    return { text: `error: ${inFlags(error, command)}${stack}`, exitCode: 2 };
  }
  if (error instanceof OptionError || error instanceof Deno.errors.NotCapable) {
    return { text: `error: ${error.message}${stack}`, exitCode: 2 };
  }
  return {
    text: `error: kvjudge failed in a way that it should not\n${stackOf(error)}\n` +
      `hint: this is a bug in kvjudge; please report it with the lines above, the command and ` +
      `the output of kvjudge --version`,
    exitCode: 1,
  };
}

function stackOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? `${error.name}: ${error.message}` : String(error);
}
