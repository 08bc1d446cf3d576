import { Command } from "@cliffy/command";
/** What the root command needs of a subcommand. */
export interface Subcommand {
  /** Reads the words behind the subcommand's name and runs it. */
  parse(args: string[]): Promise<unknown>;
}

/** The user pressed Ctrl-C; what was made so far has been written. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** A command that throws instead of ending the process, and colours its help on a terminal alone. */
export function bareCommand() {
  return new Command().noExit().help({ colors: Deno.stdout.isTerminal() });
}
