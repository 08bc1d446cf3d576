import { setImmediate } from "node:timers";

/**
 * Lets timers, signals and writers have their turn. A step blocks the thread, and a loop of steps
 * would never notice that it is to stop.
 */
export async function pause(signal?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(() => resolve()));
  signal?.throwIfAborted();
}
