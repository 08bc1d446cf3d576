import { closest } from "npm:fastest-levenshtein@1.0.16";

/** The command line is used wrongly. */
export class ValidationError extends Error {
  /** What the process should exit with. */
  readonly exitCode: number;

  constructor(
    message: string,
    { exitCode = 2, cause }: { exitCode?: number; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}

/** How a flag is written: `-k` or `--model`. */
export function flagOf(name: string): string {
  return name.startsWith("-") ? name : `${name.length > 1 ? "--" : "-"}${name}`;
}

/** Refuses an option that does not exist, naming the nearest that does. */
export function unknownOption(flag: string, flags: readonly string[]): ValidationError {
  return new ValidationError(
    `Unknown option "${flag}".${didYouMean("option", flag, flags)}`,
  );
}

/** Refuses a subcommand that does not exist, naming the nearest that does. */
export function unknownCommand(name: string, names: readonly string[]): ValidationError {
  return new ValidationError(
    `Unknown command "${name}".${didYouMean("command", name, names)}`,
  );
}

function didYouMean(kind: string, given: string, known: readonly string[]): string {
  return known.length > 0 ? ` Did you mean ${kind} "${closest(given, known)}"?` : "";
}
