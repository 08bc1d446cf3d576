import { availableParallelism } from "node:os";

/** Threads that this process can run at once. */
export function defaultThreads(): number {
  return availableParallelism();
}
