import type { SchemaOf } from "../runtime/schema.ts";
import type { QueueAddress } from "./address.ts";
import { connect } from "./connection.ts";
import { digestOf } from "./digest.ts";
import { QueueError } from "./errors.ts";
import { jobName, packInput } from "./job.ts";
import { openLink } from "./link.ts";
import { openLedger, type SettledJob } from "./ledger.ts";
import { announceRun, forgetDrained, isDrained, tellProgress } from "./registry.ts";
import { type QueuedRun, runName } from "./run.ts";
import { watchWorkers } from "./watch_workers.ts";
import type { Store } from "./store/store.ts";

/** One piece of work. */
export interface PlannedJob {
  /** What people call it. */
  readonly name: string;
  /** What a worker is given, as JSON. Asked for when its turn comes. */
  readonly input: () => string;
}

/** What {@linkcode submit} is told as it goes. */
export interface SubmitWatch {
  /** Something worth knowing happened. */
  readonly onNote?: (text: string) => void;
  /** How many workers live that may work on it. */
  readonly onWorkers?: (count: number) => void;
}

/** What is to be worked on elsewhere. */
export interface Submission<T> {
  readonly address: QueueAddress;
  readonly run: QueuedRun;
  readonly jobs: readonly PlannedJob[];
  readonly store?: Store | undefined;
  /** What a worker must give back. */
  readonly result: SchemaOf<T>;
  /** Takes the result of a job by its place; returns when it is on the disk. */
  readonly take: (place: number, result: T) => Promise<void>;
  /** Milliseconds that the queue's server may be gone. */
  readonly patience: number;
  /** Milliseconds since some moment. */
  readonly now: () => number;
  readonly signal?: AbortSignal | undefined;
  readonly watch?: SubmitWatch;
}

/** Jobs in the queue at a time: many times the workers, and few enough for its memory. */
const WINDOW = 2000;

/** Milliseconds between two looks at all jobs: events may be lost with a connection. */
const LOOK_PAUSE = 2000;

/**
 * Puts jobs into a queue and takes their results, until all are there. Whoever is killed and starts
 * again finds what was done meanwhile; a job that is lost is put in again.
 *
 * @throws {QueueError} If the queue is gone for too long, no worker takes the run, somebody emptied it,
 * or jobs failed {@linkcode TRIES} times; all others are taken first.
 */
export async function submit<T>(submission: Submission<T>): Promise<void> {
  const { address, run, jobs, store, take, patience, now, signal, watch = {} } = submission;
  if (jobs.length === 0) return;
  signal?.throwIfAborted();
  const name = runName(run);
  const client = await connect(address);
  await using scope = new AsyncDisposableStack();
  scope.defer(() => client.disconnect());
  const link = scope.use(
    openLink(client, { address, patience, now, signal, onNote: watch.onNote }),
  );
  const ledger = scope.use(await link.within(openLedger(address, name, client, submission.result)));
  scope.use(watchWorkers(client, name, { address, link, ...watch }));

  await link.within(forgetDrained(client, name));
  await link.within(announceRun(client, name, run));
  const places = new Map<string, number[]>();
  const aside = new Map<string, string>();
  let next = 0;
  let done = 0;
  const putIn = async () => {
    while (next < jobs.length && places.size < WINDOW) {
      const batch = [];
      for (; next < jobs.length && places.size < WINDOW && batch.length < 100; next++) {
        const job = jobs[next];
        if (!job) continue;
        const input = job.input();
        const id = jobName(name, digestOf(input));
        const known = places.get(id);
        places.set(id, [...known ?? [], next]);
        if (!known) batch.push({ id, name: job.name, data: await packInput(input, store) });
      }
      await link.within(ledger.add(batch));
    }
  };
  const settle = async ({ id, outcome }: SettledJob<T>) => {
    const found = places.get(id);
    if (!found) return;
    if ("reason" in outcome) {
      aside.set(id, outcome.reason);
      return;
    }
    for (const place of found) {
      await take(place, outcome.value);
      done++;
    }
    places.delete(id);
    aside.delete(id);
    await link.within(ledger.remove(id));
  };
  /** Puts in again what the queue has lost, and finds what events have not told. */
  const look = async () => {
    if (await link.within(isDrained(client, name))) {
      throw new QueueError(
        `Cannot go on: somebody emptied this run in the queue at ${address.shown}; what was done is ` +
          "kept, and the same command puts the rest in again",
      );
    }
    await link.within(announceRun(client, name, run));
    const { settled, lost } = await link.within(ledger.look([...places.keys()]));
    for (const one of settled) await settle(one);
    for (const id of lost) {
      const [place = -1] = places.get(id) ?? [];
      const job = jobs[place];
      aside.delete(id);
      if (!job) continue;
      const data = await packInput(job.input(), store);
      await link.within(ledger.add([{ id, name: job.name, data }]));
    }
    await link.within(tellProgress(client, name, done, jobs.length));
  };
  await putIn();
  await look();
  let looked = now();
  while (places.size > aside.size || next < jobs.length) {
    await link.within(ledger.news(LOOK_PAUSE));
    for (const one of ledger.settled()) await settle(one);
    if (places.size < WINDOW / 2) await putIn();
    if (now() - looked < LOOK_PAUSE) continue;
    await look();
    looked = now();
  }
  if (aside.size > 0) throw setAside([...aside], places, jobs, address);
  await link.within(ledger.close());
}

/** Jobs that a message names. */
const NAMED = 3;

function setAside(
  aside: readonly (readonly [string, string])[],
  places: ReadonlyMap<string, readonly number[]>,
  jobs: readonly PlannedJob[],
  { shown }: QueueAddress,
): QueueError {
  const named = aside.slice(0, NAMED).map(([id, reason]) => {
    const [place = -1] = places.get(id) ?? [];
    return `${jobs[place]?.name ?? id}: ${reason}`;
  });
  const more = aside.length - named.length;
  const [count, verb] = aside.length === 1 ? ["one job", "was"] : [`${aside.length} jobs`, "were"];
  return new QueueError(
    `Cannot end: ${count} of ${jobs.length} failed again and again and ${verb} set aside (${
      named.join("; ")
    }${
      more > 0 ? `; ${more} more` : ""
    }); all others are done. kvjudge queue retry --queue ${shown} ` +
      "puts them in again, and the same command goes on",
  );
}
