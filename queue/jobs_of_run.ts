import { WaitingError, Worker } from "npm:bullmq@6.7.0";
import { closed, patient } from "./connection.ts";
import { TRIES } from "./job.ts";
import { PREFIX } from "./names.ts";
import type { PreparedRun } from "./prepared_run.ts";
import type { WorkerOptions } from "./worker_options.ts";
import type { WorkerTally } from "./worker_tally.ts";

/** The jobs of a run, as they come to a worker. */
export interface JobsOfRun extends AsyncDisposable {
  /** Whether none is under way here. */
  readonly idle: boolean;
}

/** Milliseconds for jobs that are under way to go back. */
const CLOSE_TIME = 10_000;

/** Takes jobs of a run until it is closed; those that are under way then go back. */
export function openJobs(
  run: string,
  prepared: PreparedRun,
  { address, name, concurrency, lock, signal, now, onNote }: WorkerOptions,
  tally: WorkerTally,
): JobsOfRun {
  const closing = new AbortController();
  const stopped = AbortSignal.any([signal, closing.signal]);
  const worker = new Worker(
    run,
    async (job, token) => {
      const begun = now();
      tally.running++;
      try {
        const result = await prepared.work({ id: job.id ?? "", data: job.data }, stopped);
        tally.done++;
        return result;
      } catch (error) {
        if (stopped.aborted && token !== undefined) {
          // It did not fail: another worker takes it at once.
          await job.moveToWait(token);
          throw new WaitingError();
        }
        tally.failed++;
        onNote(`job ${job.name} failed: ${error instanceof Error ? error.message : error}`);
        throw error;
      } finally {
        tally.running--;
        tally.seconds += (now() - begun) / 1000;
      }
    },
    {
      connection: patient(address),
      prefix: PREFIX,
      name,
      concurrency,
      lockDuration: lock,
      stalledInterval: lock,
      // A job whose workers die counts its tries as one that fails.
      maxStalledCount: TRIES - 1,
    },
  );
  // Told by whoever watches the connection; without a listener the library would print it.
  worker.on("error", () => {});
  return {
    get idle() {
      return tally.running === 0;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await closed(worker.close(), CLOSE_TIME);
    },
  };
}
