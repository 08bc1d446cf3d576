import type { SampleMeasurement } from "./measurement.ts";
import type { RunSettings, SampleRecord } from "./record.ts";
import type { RunSummary } from "./summary_record.ts";
import { openRunFolder } from "./run_folder.ts";
import type { SampleWork } from "./sample_work.ts";
import { summarise } from "./summary.ts";
import { demandObject } from "../../runtime/given.ts";

/** One sample of a run, to be measured when its turn comes. */
export interface RunSample {
  /** Unique in the run. */
  readonly id: string;
  /** Measures it, with the model of a free worker. */
  measure(measurement: SampleMeasurement): Promise<SampleRecord>;
  /** How another machine measures it; absent: none can. */
  readonly elsewhere?: {
    readonly work: SampleWork;
    /** Judges what the other machine has made. */
    judge(record: SampleRecord): SampleRecord;
  };
}

/**
 * Measures samples on other machines.
 *
 * @param take Takes the record of a sample, as the other machine made it; returns when it is written
 * down.
 */
export type MeasureElsewhere = (
  samples: readonly RunSample[],
  take: (sample: RunSample, record: SampleRecord) => Promise<void>,
) => Promise<void>;

/** What {@linkcode runBenchmark} is to do. */
export interface BenchmarkRun {
  /** What is measured. */
  readonly settings: RunSettings;
  /** What there is to measure. */
  readonly samples: readonly RunSample[];
  /** What samples are measured with: as many as there are entries at a time, each with its own model. */
  readonly workers: readonly SampleMeasurement[];
  /** Measures in place of the workers. */
  readonly elsewhere?: MeasureElsewhere;
  /** How the scores of each task read. */
  readonly metrics: RunSummary["metrics"];
  /** Folder to write to, and to go on from; without one nothing is written. */
  readonly folder?: string;
  /** Ends it early. */
  readonly signal?: AbortSignal;
  /** Gets the number of samples that are done, and of all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Measures samples. With a folder, each is written down when it is done: the same run, started again,
 * goes on where it stopped and ends with the same summary, timings aside, however many workers it has.
 *
 * @throws {BenchmarkError} If the folder holds another run.
 *
 * @example
 * ```ts
 * import { loadModel } from "../../runtime/model.ts";
 * import { parsePolicies } from "../policy_list.ts";
 * import { runBenchmark } from "./benchmark_run.ts";
 * import { runSamples } from "./measure_sample.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * await using model = await loadModel(folder, { precision: "fp32" });
 * // A model without a tokenizer: each letter is a token.
 * const tokenizer = { ...model.tokenizer, encode: (text: string) => Array.from(text, () => 5) };
 * const measured = { ...model, tokenizer };
 * const sample = {
 *   ...{ id: "1", task: "houses", context: "Mill Lane has 12 houses. ", question: "How many?" },
 *   ...{ prefix: "", answers: ["12"], maxTokens: 2, facts: {} },
 * };
 * const planned = {
 *   ...{ sample, group: "short", setting: { order: "last", visible: true } as const },
 *   metric: (output: string) => output.includes("12") ? 1 : 0,
 * };
 * const { rows } = await runBenchmark({
 *   settings: {
 *     ...{ format: 1, benchmark: "mine", versions: {}, tasks: ["houses"], seed: 0, options: {} },
 *     model: { name: "tiny", fingerprint: await model.fingerprint(), precision: "fp32" },
 *     policies: [{ label: "snapkv", name: "snapkv", options: {} }],
 *     budgets: ["40"],
 *   },
 *   samples: runSamples([planned], measured),
 *   workers: [{
 *     model: measured,
 *     policies: await parsePolicies("snapkv"),
 *     budgets: [{ label: "40", budget: 40 }],
 *     now: () => performance.now(),
 *   }],
 *   metrics: { houses: "accuracy" },
 * });
 * assertEquals(rows.map(({ policy, budget }) => [policy, budget]), [["full", null], ["snapkv", "40"]]);
 * ```
 */
export async function runBenchmark(run: BenchmarkRun): Promise<RunSummary> {
  demandObject("run a benchmark", "the run", run);
  const { settings, samples, workers, elsewhere, metrics, folder: path, signal, onProgress } = run;
  using folder = path === undefined ? undefined : await openRunFolder(path, settings);
  const records = samples.map(({ id }) => folder?.records.get(id));
  const queue = samples.entries().filter(([at]) => records[at] === undefined);
  const failed: unknown[] = [];
  let done = samples.length - records.filter((record) => record === undefined).length;
  if (done > 0) onProgress?.(done, samples.length);
  const take = async (at: number, record: SampleRecord) => {
    await folder?.append(record);
    records[at] = record;
    onProgress?.(++done, samples.length);
  };
  if (elsewhere) {
    const places = new Map([...queue].map(([at, sample]) => [sample, at]));
    await elsewhere([...places.keys()], async (sample, record) => {
      const at = places.get(sample);
      if (at === undefined || records[at] !== undefined) return;
      await take(at, sample.elsewhere?.judge(record) ?? record);
    });
  }
  await Promise.all(workers.map(async (worker) => {
    try {
      for (const [at, { measure }] of queue) {
        signal?.throwIfAborted();
        await take(at, { ...await measure(worker), workers: workers.length });
        if (failed.length > 0) return;
      }
    } catch (error) {
      failed.push(error);
    }
  }));
  if (failed.length > 0) throw failed[0];
  const summary = summarise(settings, records.filter((record) => record !== undefined), metrics);
  await folder?.finish(summary);
  return summary;
}
