/** What a worker has done so far. */
export interface WorkerTally {
  /** Jobs. */
  done: number;
  /** Tries that failed. */
  failed: number;
  /** Jobs under way. */
  running: number;
  /** Seconds that all tries took. */
  seconds: number;
}

/** A worker that has done nothing yet. */
export function newTally(): WorkerTally {
  return { done: 0, failed: 0, running: 0, seconds: 0 };
}
