import process from "node:process";
import { Interrupted } from "./_subcommand.ts";

/** Exit code of a program that Ctrl-C ended: 128 + SIGINT. */
export const INTERRUPTED_EXIT_CODE = 130;

/**
 * Runs work that Ctrl-C stops through a signal. A second Ctrl-C ends the process at once, for work
 * that ignores the first.
 *
 * @throws {Interrupted} Where Ctrl-C was pressed, whatever the work then did.
 */
export async function interruptible(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(INTERRUPTED_EXIT_CODE);
    controller.abort();
  };
  process.on("SIGINT", stop);
  try {
    await work(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  } finally {
    process.off("SIGINT", stop);
  }
  if (controller.signal.aborted) throw new Interrupted("Stopped by Ctrl-C");
}
