import process from "node:process";
import { INTERRUPTED_EXIT_CODE } from "../_interrupt.ts";

/** Turns Ctrl-C into the end of what is being done, not of the program. */
export interface Interrupts extends Disposable {
  /**
   * Runs work that Ctrl-C stops through a signal. A second Ctrl-C ends the process, for work that
   * ignores the first; so does one while nothing is being done.
   */
  run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/** Listens to Ctrl-C until it is disposed of. */
export function listenForInterrupts(): Interrupts {
  let current: AbortController | undefined;
  const stop = () => {
    if (!current || current.signal.aborted) process.exit(INTERRUPTED_EXIT_CODE);
    current.abort();
  };
  process.on("SIGINT", stop);
  return {
    async run(work) {
      const own = current = new AbortController();
      try {
        return await work(own.signal);
      } finally {
        current = undefined;
      }
    },
    [Symbol.dispose]: () => process.off("SIGINT", stop),
  };
}
