import process from "node:process";

/** Exit codes of a program that a signal ended: 128 and its number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

/** Waits for the wish to end. */
export interface Stopping extends Disposable {
  /** Resolves at the first Ctrl-C or SIGTERM; a second one ends the process at once. */
  readonly asked: Promise<void>;
}

/** Listens to Ctrl-C and SIGTERM until it is disposed of. */
export function listenForStop(): Stopping {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  let times = 0;
  const listeners = Object.entries(SIGNALS).map(([name, code]) => {
    const stop = () => {
      if (++times > 1) process.exit(code);
      resolve();
    };
    process.on(name, stop);
    return () => process.off(name, stop);
  });
  return {
    asked,
    [Symbol.dispose]: () => listeners.forEach((remove) => remove()),
  };
}
