import { setTimeout as wait } from "node:timers/promises";
import { KvjudgeError } from "../runtime/errors.ts";
import { OptionError } from "../policies/policy.ts";
import type { Queue } from "npm:bullmq@6.7.0";
import { closed, connect } from "./connection.ts";
import { openQueue } from "./engine.ts";
import { openJobs } from "./jobs_of_run.ts";
import { PREFIX } from "./names.ts";
import { prepareRun } from "./prepare.ts";
import { sayGone, sayPresent, type WorkerPresence } from "./presence.ts";
import { processorName } from "./machine.ts";
import { type ListedRun, listRuns } from "./registry.ts";
import type { WorkerOptions } from "./worker_options.ts";
import type { WorkerTally } from "./worker_tally.ts";

/** Milliseconds between two signs of life. */
const SIGN_PAUSE = 2000;

/** Milliseconds between two looks for runs. */
const LOOK_PAUSE = 500;

/** What the engine leaves of a run that is gone. */
const TRACES = ["meta", "events", "stalled-check"];

/**
 * Works on the runs of a queue, one at a time, those first that wait longest, until it is stopped. Runs
 * that it may or can not work on it refuses, with a reason that their submitters see.
 *
 * @param tally Counts what is done, for whoever watches.
 * @throws {QueueError} If the queue cannot be reached when it begins; later it waits.
 */
export async function work(options: WorkerOptions, tally: WorkerTally): Promise<void> {
  const { address, untilIdle = Infinity, now, signal, onNote } = options;
  const client = await connect(address);
  await using scope = new AsyncDisposableStack();
  scope.defer(() => client.disconnect());
  const id = crypto.randomUUID();
  const { promise: stopped, reject: stop } = Promise.withResolvers<never>();
  stopped.catch(() => {});
  signal.addEventListener("abort", () => stop(signal.reason), { once: true });
  /** Waits for the server, or until the worker is stopped. */
  const within = <T>(asked: Promise<T>): Promise<T> => {
    asked.catch(() => {});
    return Promise.race([asked, stopped]);
  };
  const refusals = new Map<string, string>();
  let current: string | undefined;
  const presence = (): WorkerPresence => ({
    id,
    name: options.name,
    version: options.version,
    processor: processorName(),
    concurrency: options.concurrency,
    ...(current === undefined ? {} : { run: current }),
    ...{ running: tally.running, done: tally.done, failed: tally.failed },
    refusals: Object.fromEntries(refusals),
  });
  const sign = () => sayPresent(client, presence());
  const tellGone = () => onNote(`the queue at ${address.shown} is gone; waiting for it`);
  client.on("close", tellGone);
  scope.defer(() => void client.off("close", tellGone));
  await sign();
  const timer = setInterval(() => {
    if (client.status === "ready") sign().catch(() => {});
  }, SIGN_PAUSE);
  scope.defer(() => clearInterval(timer));

  const serve = async (listed: ListedRun): Promise<void> => {
    await serveJobs(listed);
    const ended = client.status === "ready" &&
      !(await listRuns(client)).some(({ name }) => name === listed.name);
    // The engine writes down a little whenever it looks, even where nothing is left.
    if (ended) await client.del(...TRACES.map((trace) => `${PREFIX}:${listed.name}:${trace}`));
  };
  const serveJobs = async (listed: ListedRun): Promise<void> => {
    await using prepared = await prepareRun(listed, options);
    current = listed.name;
    await sign();
    onNote(`working on ${titleOf(listed)}`);
    await using jobs = openJobs(listed.name, prepared, options, tally);
    for (;;) {
      await pause(LOOK_PAUSE, signal);
      if (signal.aborted) break;
      const runs = await within(listRuns(client));
      const next = await within(choose(runs));
      if (!runs.some(({ name }) => name === listed.name)) break;
      // As long as no other run waits, this one stays open: a job of it may come back.
      const done = next ? next.name !== listed.name : options.untilIdle !== undefined;
      if (done && jobs.idle) break;
    }
  };
  const queues = new Map<string, Queue>();
  scope.defer(async () => {
    for (const queue of queues.values()) await closed(queue.close());
  });
  /** The first run that has jobs and is not refused. */
  const choose = async (runs: readonly ListedRun[]): Promise<ListedRun | undefined> => {
    const listed = new Set(runs.map(({ name }) => name));
    for (const name of refusals.keys()) if (!listed.has(name)) refusals.delete(name);
    for (const [name, queue] of queues) {
      if (listed.has(name)) continue;
      queues.delete(name);
      await queue.close();
    }
    for (const run of runs) {
      if (!refusals.has(run.name) && await hasJobs(run.name)) return run;
    }
    return undefined;
  };
  const hasJobs = async (name: string) => {
    const queue = queues.get(name) ?? openQueue(client, name);
    queues.set(name, queue);
    const counts = await queue.getJobCounts("wait", "delayed");
    return Object.values(counts).some((count) => count > 0);
  };
  let lastWork = now();
  try {
    while (!signal.aborted) {
      let next: ListedRun | undefined;
      try {
        next = await within(choose(await within(listRuns(client))));
        if (next) await serve(next);
        else if (now() - lastWork >= untilIdle) break;
        else await pause(LOOK_PAUSE, signal);
      } catch (error) {
        if (signal.aborted) break;
        if (!(error instanceof KvjudgeError || error instanceof OptionError) || !next) throw error;
        refusals.set(next.name, error.message);
        onNote(`refused ${titleOf(next)}: ${error.message}`);
      }
      if (!next) continue;
      lastWork = now();
      current = undefined;
      if (client.status === "ready") await sign();
    }
  } finally {
    if (client.status === "ready") await sayGone(client, id);
  }
}

function titleOf({ name, run }: ListedRun): string {
  return `${run?.title ?? "a run"} ${name.slice(0, 8)}`;
}

/** Waits; a stop ends the wait without an error. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await wait(milliseconds, undefined, { signal }).catch(() => {});
}
