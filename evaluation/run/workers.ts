/** What {@linkcode workersFor} weighs. */
export interface Resources {
  /** Processors. */
  readonly processors: number;
  /** Bytes of memory that are free. */
  readonly free: number;
  /** Bytes that one more model takes, with its longest cache. */
  readonly perWorker: number;
}

/** Fewer processors than that per worker make each sample slower by more than is won. */
const PROCESSORS_PER_WORKER = 4;

/** Part of the free memory that workers may take. */
const SHARE = 0.6;

/**
 * How many samples are best measured at a time.
 *
 * @example
 * ```ts
 * import { workersFor } from "./workers.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(workersFor({ processors: 16, free: 32e9, perWorker: 1e9 }), 4);
 * assertEquals(workersFor({ processors: 16, free: 2e9, perWorker: 1e9 }), 2);
 * assertEquals(workersFor({ processors: 2, free: 32e9, perWorker: 1e9 }), 1);
 * ```
 */
export function workersFor({ processors, free, perWorker }: Resources): number {
  const more = Math.floor(SHARE * free / Math.max(1, perWorker));
  return Math.max(1, Math.min(Math.floor(processors / PROCESSORS_PER_WORKER), 1 + more));
}
