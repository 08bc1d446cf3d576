import { OverloadedError } from "./errors.ts";

/** Lets so many run at once, and so many wait, first come first served. */
export interface Admission {
  readonly running: number;
  readonly waiting: number;
  /**
   * Takes a place in the queue.
   *
   * @param weight Places that it takes when it runs.
   * @throws {OverloadedError} If too many wait.
   */
  queue(weight: number): Place;
}

/** A place in the queue, then among those that run, until it is disposed of. */
export interface Place extends Disposable {
  /** Resolves when it is its turn. */
  readonly turn: Promise<void>;
}

/** Seconds that a request takes, before one has ended. */
const GUESS = 5;

/**
 * Admits requests.
 *
 * @param parallel Places of those that run. What takes more runs alone.
 * @param now Milliseconds since some moment.
 */
export function createAdmission(
  { parallel, maxQueue, now }: {
    readonly parallel: number;
    readonly maxQueue: number;
    readonly now: () => number;
  },
): Admission {
  const queue: { readonly weight: number; readonly start: () => void }[] = [];
  let [running, taken, seconds] = [0, 0, GUESS];

  const admit = () => {
    for (;;) {
      const [next] = queue;
      if (!next || (taken > 0 && taken + next.weight > parallel)) return;
      queue.shift();
      next.start();
    }
  };
  return {
    get running() {
      return running;
    },
    get waiting() {
      return queue.length;
    },
    queue(weight) {
      const free = queue.length === 0 && (taken === 0 || taken + weight <= parallel);
      if (!free && queue.length >= maxQueue) {
        const retryAfter = Math.ceil(Math.max(1, seconds * (queue.length + 1) / parallel));
        throw new OverloadedError(
          `Cannot take the request: ${queue.length} wait already, and ${running} run; ask again ` +
            `in ${retryAfter} seconds`,
          retryAfter,
        );
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      let state: "waits" | "runs" | "over" = "waits";
      let started = 0;
      const entry = {
        weight,
        start() {
          state = "runs";
          running++;
          taken += weight;
          started = now();
          resolve();
        },
      };
      queue.push(entry);
      admit();
      return {
        turn: promise,
        [Symbol.dispose]() {
          if (state === "waits") queue.splice(queue.indexOf(entry), 1);
          if (state === "runs") {
            running--;
            taken -= weight;
            // The last ones count most.
            seconds += (Math.max(0, now() - started) / 1000 - seconds) / 4;
          }
          state = "over";
          admit();
        },
      };
    },
  };
}
