import { availableParallelism } from "node:os";

/** Most threads that a model may be asked to run on: each takes memory, and what many machines have is less. */
export const MAX_THREADS = 1024;

/** Threads that this process can run at once. */
export function defaultThreads(): number {
  return availableParallelism();
}
