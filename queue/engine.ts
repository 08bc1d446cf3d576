import { Queue, QueueEvents, Worker } from "npm:bullmq@6.7.0";
import type { Redis } from "npm:ioredis@6.0.0";
import type { QueueAddress } from "./address.ts";
import { patient } from "./connection.ts";
import { TRIES } from "./job.ts";
import { PREFIX } from "./names.ts";

/** Longest events that the server keeps, in number: whoever misses some looks at the jobs. */
const EVENTS = 1000;

/** Seconds that a result waits for a submitter that was killed: 30 days. */
const KEPT_SECONDS = 30 * 86_400;

/** Pause before the second try, doubled before the third, in milliseconds. */
const TRY_PAUSE = 500;

/**
 * The jobs of one run. Closing it leaves the connection open.
 *
 * @param owned Whether the run is the caller's: others write nothing by looking at it.
 */
export function openQueue(client: Redis, run: string, owned = false): Queue {
  const queue = new Queue(run, {
    connection: client,
    prefix: PREFIX,
    skipMetasUpdate: !owned,
    streams: { events: { maxLen: EVENTS } },
    defaultJobOptions: {
      attempts: TRIES,
      backoff: { type: "exponential", delay: TRY_PAUSE },
      removeOnComplete: { age: KEPT_SECONDS },
      stackTraceLimit: 0,
    },
  });
  // Told by whoever watches; without a listener the library would print it.
  queue.on("error", () => {});
  return queue;
}

/** Times that a run is removed. */
const REMOVALS = 3;

/**
 * Removes all jobs of one run and what else the server knows of it, those under way included.
 *
 * Another process may remove it meanwhile, or the server's answer be lost on the way. The engine, which
 * pauses a queue and then removes what is paused, takes what is gone by then for a failure.
 */
export async function removeJobs(queue: Queue): Promise<void> {
  for (let times = 1;; times++) {
    try {
      return await queue.obliterate({ force: true });
    } catch (error) {
      if (times === REMOVALS) throw error;
    }
  }
}

/** What happens to the jobs of one run. */
export function openEvents(address: QueueAddress, run: string): QueueEvents {
  const events = new QueueEvents(run, { connection: patient(address), prefix: PREFIX });
  events.on("error", () => {});
  return events;
}

/** Milliseconds between two looks of a guard. */
const GUARD_PAUSE = 5000;

/**
 * Puts jobs of dead workers back, where no worker is on the run to do so. It takes none itself.
 */
export function openGuard(address: QueueAddress, run: string): Worker {
  const guard = new Worker(run, null, {
    connection: patient(address),
    prefix: PREFIX,
    autorun: false,
    stalledInterval: GUARD_PAUSE,
    maxStalledCount: TRIES - 1,
  });
  guard.on("error", () => {});
  return guard;
}
