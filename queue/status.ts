import { Job } from "npm:bullmq@6.7.0";
import type { Redis } from "npm:ioredis@6.0.0";
import { openQueue, removeJobs } from "./engine.ts";
import { presentWorkers, type WorkerPresence } from "./presence.ts";
import { listRuns, markDrained } from "./registry.ts";

/** A run as people see it. */
export interface RunStatus {
  readonly name: string;
  readonly title: string;
  readonly model: string;
  readonly waiting: number;
  readonly active: number;
  /** Waiting for their next try. */
  readonly delayed: number;
  /** Results that the submitter has, of how many. */
  readonly done: number;
  readonly total: number;
  /** Jobs that failed again and again. */
  readonly setAside: readonly { readonly name: string; readonly reason: string }[];
}

/** A queue as people see it. */
export interface QueueStatus {
  readonly runs: readonly RunStatus[];
  readonly workers: readonly WorkerPresence[];
}

/** What a queue holds, and who works on it. */
export async function readStatus(client: Redis): Promise<QueueStatus> {
  const runs: RunStatus[] = [];
  for (const { name, run, done, total } of await listRuns(client)) {
    const queue = openQueue(client, name);
    try {
      const counts = await queue.getJobCounts("wait", "active", "delayed");
      const aside = await Promise.all(
        (await queue.getRanges(["failed"], 0, -1)).map((id) => Job.fromId(queue, id)),
      );
      runs.push({
        name,
        title: run?.title ?? "of another version",
        model: run?.model.name ?? "",
        waiting: counts.wait ?? 0,
        active: counts.active ?? 0,
        delayed: counts.delayed ?? 0,
        done,
        total,
        setAside: aside.flatMap((job) => job ? [{ name: job.name, reason: job.failedReason }] : []),
      });
    } finally {
      await queue.close();
    }
  }
  return { runs, workers: await presentWorkers(client) };
}

/**
 * Puts jobs that were set aside in again.
 *
 * @param wanted Beginning of the name of the run; all runs if absent.
 * @returns How many.
 */
export async function retryJobs(client: Redis, wanted = ""): Promise<number> {
  let count = 0;
  for (const { name } of await chosen(client, wanted)) {
    const queue = openQueue(client, name);
    try {
      for (const id of await queue.getRanges(["failed"], 0, -1)) {
        const job = await Job.fromId(queue, id);
        // Its tries begin anew.
        await job?.retry("failed", { resetAttemptsMade: true, resetAttemptsStarted: true });
        if (job) count++;
      }
    } finally {
      await queue.close();
    }
  }
  return count;
}

/**
 * Empties runs: their jobs and the results that nobody has taken.
 *
 * @param wanted Beginning of the name of the run; all runs if absent.
 * @returns How many runs, and how many jobs of them.
 */
export async function drainRuns(
  client: Redis,
  wanted = "",
): Promise<{ readonly runs: number; readonly jobs: number }> {
  let jobs = 0;
  const runs = await chosen(client, wanted);
  for (const { name } of runs) {
    const queue = openQueue(client, name);
    try {
      await markDrained(client, name);
      const counts = await queue.getJobCounts("wait", "active", "delayed", "failed", "completed");
      jobs += Object.values(counts).reduce((sum, one) => sum + one, 0);
      await removeJobs(queue);
    } finally {
      await queue.close();
    }
  }
  return { runs: runs.length, jobs };
}

async function chosen(client: Redis, wanted: string) {
  return (await listRuns(client)).filter(({ name }) => name.startsWith(wanted));
}
