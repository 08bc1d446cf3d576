import type { RunSample } from "../../evaluation/run/benchmark_run.ts";
import { runSamples } from "../../evaluation/run/measure_sample.ts";
import type { SampleRecord } from "../../evaluation/run/record.ts";
import { queueAddress } from "../../queue/address.ts";
import type { SamplesRun } from "../../queue/prepare_samples.ts";
import { queuedModel } from "../../queue/queued_model.ts";
import { measureThroughQueue } from "../../queue/submit_samples.ts";
import type { SubmitWatch } from "../../queue/submit.ts";
import { work } from "../../queue/work.ts";
import type { WorkerOptions } from "../../queue/worker_options.ts";
import { newTally, type WorkerTally } from "../../queue/worker_tally.ts";
import { describeModel } from "../../runtime/describe_model.ts";
import type { Store } from "../../queue/store/store.ts";
import { testFolder, textModel } from "../commands/_run_cli.ts";
import { type QueueServer, startQueueServer } from "./_queue_server.ts";

export const VERSION = "1.2.3";

/** A queue's server, and a model in a folder of the test's own. */
export interface QueueTest extends AsyncDisposable {
  readonly home: string;
  readonly server: QueueServer;
  readonly model: string;
}

/** Starts a server and makes a model with such a context. */
export async function queueTest(context?: number): Promise<QueueTest> {
  await using made = new AsyncDisposableStack();
  const { path: home } = made.use(testFolder());
  const server = made.use(await startQueueServer());
  const model = await textModel(home, context);
  const kept = made.move();
  return { home, server, model, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** A worker in this process. */
export interface InProcessWorker extends AsyncDisposable {
  readonly tally: WorkerTally;
  readonly notes: readonly string[];
  /** When it ends by itself. */
  readonly ended: Promise<void>;
}

/** Starts a worker in this process. */
export function startWork(
  { url }: Pick<QueueServer, "url">,
  home: string,
  options: Partial<WorkerOptions> = {},
): InProcessWorker {
  const stop = new AbortController();
  const tally = newTally();
  const notes: string[] = [];
  const working = work({
    ...{ address: queueAddress(url), name: "ada", version: VERSION, home, models: [] },
    ...{ modelMemory: 1e9, concurrency: 1, threads: 1, allowPolicies: [], lock: 1000 },
    ...{ now: () => performance.now(), onNote: (text) => notes.push(text) },
    signal: stop.signal,
    ...options,
  }, tally);
  return {
    tally,
    notes,
    ended: working,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await working;
    },
  };
}

/** A run of samples, as `kvjudge eval --queue` submits it. */
export interface SubmittedRun {
  readonly samples: readonly RunSample[];
  readonly run: SamplesRun;
}

/** Plans a few short questions. */
export async function planRun(
  model: string,
  home: string,
  { count = 2, shared, repeats = 9, ...changes }: Partial<SamplesRun> & {
    readonly count?: number;
    readonly shared?: Store;
    readonly repeats?: number;
  } = {},
): Promise<SubmittedRun> {
  const described = await describeModel(model, { home, precision: "fp32" });
  const samples = runSamples(
    Array.from({ length: count }, (_, at) => ({
      sample: {
        ...{
          id: `houses-${at}`,
          task: "houses",
          context: "Mill Lane has 12 houses. ".repeat(repeats),
        },
        ...{
          question: `How many are ${at}?`,
          prefix: "",
          answers: ["12"],
          maxTokens: 2,
          facts: {},
        },
      },
      ...{ group: "short", setting: { order: "last", visible: true } as const },
      metric: () => 1,
    })),
    described,
  );
  return {
    samples,
    run: {
      ...{ format: 1, kind: "samples", version: VERSION, title: "houses" },
      model: await queuedModel(described, {
        ...{ device: "cpu", allowControlTokens: false },
        store: shared,
      }),
      store: shared !== undefined,
      policies: [{ label: "knorm", name: "knorm", options: {} }],
      ...{ places: [], budgets: ["16"], answerTokens: 2, chunk: null },
      ...changes,
    },
  };
}

/** Submits a run and gives its records. */
export async function submitRun(
  { url }: Pick<QueueServer, "url">,
  { samples, run }: SubmittedRun,
  options: {
    readonly store?: Store;
    readonly watch?: SubmitWatch;
    readonly patience?: number;
    readonly signal?: AbortSignal;
  } = {},
): Promise<readonly SampleRecord[]> {
  const records: SampleRecord[] = [];
  const measure = measureThroughQueue({
    address: queueAddress(url),
    run,
    patience: 60_000,
    now: () => performance.now(),
    ...options,
  });
  await measure(samples, (sample, record) => {
    records.push(sample.elsewhere?.judge(record) ?? record);
    return Promise.resolve();
  });
  return records;
}
