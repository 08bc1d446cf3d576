import { Job } from "npm:bullmq@6.7.0";
import type { Redis } from "npm:ioredis@6.0.0";
import { checkRecord, type SchemaOf } from "../runtime/schema.ts";
import type { QueueAddress } from "./address.ts";
import { closed } from "./connection.ts";
import { openEvents, openGuard, openQueue, removeJobs } from "./engine.ts";
import type { JobData } from "./job.ts";
import { withdrawRun } from "./registry.ts";

/** A job that was done, or set aside. */
export interface SettledJob<T> {
  readonly id: string;
  readonly outcome: { readonly value: T } | { readonly reason: string };
}

/** A job as it goes into a queue. */
export interface NewJob {
  readonly id: string;
  readonly name: string;
  readonly data: JobData;
}

/** The jobs of a run as their submitter sees them. */
export interface Ledger<T> extends AsyncDisposable {
  /** Puts jobs in; those that are there already stay as they are. */
  add(jobs: readonly NewJob[]): Promise<void>;
  /** Waits until something is settled, but no longer than so many milliseconds. */
  news(limit: number): Promise<void>;
  /** What events have told since the last call. */
  settled(): readonly SettledJob<T>[];
  /** Looks at all jobs: what is settled, and what is not there any more. */
  look(ids: readonly string[]): Promise<{
    readonly settled: readonly SettledJob<T>[];
    readonly lost: readonly string[];
  }>;
  /** Takes a job out whose result is safe. */
  remove(id: string): Promise<void>;
  /** Removes the run, unless somebody else still waits for jobs of it. */
  close(): Promise<void>;
}

/** Opens the jobs of a run. */
export async function openLedger<T>(
  address: QueueAddress,
  run: string,
  client: Redis,
  schema: SchemaOf<T>,
): Promise<Ledger<T>> {
  await using opening = new AsyncDisposableStack();
  const queue = openQueue(client, run, true);
  opening.defer(() => closed(queue.close()));
  const events = openEvents(address, run);
  opening.defer(() => closed(events.close()));
  const guard = openGuard(address, run);
  opening.defer(() => closed(guard.close(true)));
  let told: SettledJob<T>[] = [];
  let arrived = Promise.withResolvers<void>();
  const tell = (job: SettledJob<T>) => {
    told.push(job);
    arrived.resolve();
  };
  const doneWith = (id: string, value: unknown): SettledJob<T> => {
    const checked = checkRecord(schema, value, "it");
    return "value" in checked
      ? { id, outcome: checked }
      : { id, outcome: { reason: `its result cannot be used: ${checked.problem}` } };
  };
  events.on("completed", ({ jobId, returnvalue }) => tell(doneWith(jobId, returnvalue)));
  // Told once the last try has failed.
  events.on("failed", ({ jobId, failedReason }) => tell(failed(jobId, failedReason)));
  await events.waitUntilReady();
  await guard.startStalledCheckTimer();
  const jobOf = (id: string) => Job.fromId(queue, id);
  const opened = opening.move();
  return {
    async add(jobs) {
      if (jobs.length === 0) return;
      await queue.addBulk(jobs.map(({ id, name, data }) => ({ name, data, opts: { jobId: id } })));
    },
    async news(limit) {
      if (told.length > 0) return;
      const timer = setTimeout(() => arrived.resolve(), limit);
      await arrived.promise;
      clearTimeout(timer);
      arrived = Promise.withResolvers<void>();
    },
    settled() {
      const found = told;
      told = [];
      return found;
    },
    async look(ids) {
      const wanted = new Set(ids);
      const settled: SettledJob<T>[] = [];
      const [completed, aside] = await Promise.all([
        queue.getRanges(["completed"], 0, -1),
        queue.getRanges(["failed"], 0, -1),
      ]);
      for (const id of completed.filter((id) => wanted.has(id))) {
        const job = await jobOf(id);
        if (job) settled.push(doneWith(id, job.returnvalue));
        wanted.delete(id);
      }
      for (const id of aside.filter((id) => wanted.has(id))) {
        const job = await jobOf(id);
        if (job) settled.push(failed(id, job.failedReason));
        wanted.delete(id);
      }
      const asked = client.pipeline();
      for (const id of wanted) asked.exists(queue.toKey(id));
      const answers = await asked.exec() ?? [];
      return { settled, lost: [...wanted].filter((_, at) => answers[at]?.[1] === 0) };
    },
    async remove(id) {
      await queue.remove(id);
    },
    async close() {
      // What else is done or under way was done twice, behind a lock that ran out.
      const counts = await queue.getJobCounts("wait", "delayed", "failed");
      if (Object.values(counts).some((count) => count > 0)) return;
      await withdrawRun(client, run);
      await removeJobs(queue);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** What the engine says of a job whose workers died. */
const STALLED = /stalled more than/i;

function failed<T>(id: string, reason: string): SettledJob<T> {
  return {
    id,
    outcome: {
      reason: STALLED.test(reason) ? "its workers died, again and again, while it ran" : reason,
    },
  };
}
