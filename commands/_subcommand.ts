/** What the root command needs of a subcommand. */
export interface Subcommand {
  /** Reads the words behind the subcommand's name and runs it. */
  parse(args: string[]): Promise<unknown>;
}

/** The user pressed Ctrl-C; what was made so far has been written. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}
