/** A program, and what it is started with. */
export interface PipedCommand {
  /** Path or name. */
  readonly program: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** Variables that it sees besides ours. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it leads a group of processes, which can be ended with it. @default {false} */
  readonly detached?: boolean;
}

/** Starts a program whose output is read: it has no input, and prints no colours. */
export function spawnPiped(
  { program, args, env = {}, detached = false }: PipedCommand,
): Deno.ChildProcess {
  return new Deno.Command(program, {
    args: [...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached,
  }).spawn();
}
