import type { RunSettings, RunSummary, SampleRecord } from "./record.ts";
import { openRunFolder } from "./run_folder.ts";
import { summarise } from "./summary.ts";

/** One sample of a run, to be measured when its turn comes. */
export interface RunSample {
  /** Unique in the run. */
  readonly id: string;
  measure(): Promise<SampleRecord>;
}

/** What {@linkcode runBenchmark} is to do. */
export interface BenchmarkRun {
  readonly settings: RunSettings;
  readonly samples: readonly RunSample[];
  /** How the scores of each task read. */
  readonly metrics: RunSummary["metrics"];
  /** Folder to write to, and to go on from; without one nothing is written. */
  readonly folder?: string;
  readonly signal?: AbortSignal;
  /** Is told how many samples are done. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Measures samples one after the other. With a folder, each is written down when it is done: the same
 * run, started again, goes on where it stopped and ends with the same summary, timings aside.
 *
 * @throws {BenchmarkError} If the folder holds another run.
 */
export async function runBenchmark(run: BenchmarkRun): Promise<RunSummary> {
  const { settings, samples, metrics, folder: path, signal, onProgress } = run;
  using folder = path === undefined ? undefined : await openRunFolder(path, settings);
  const records: SampleRecord[] = [];
  for (const { id, measure } of samples) {
    signal?.throwIfAborted();
    const known = folder?.records.get(id);
    const record = known ?? await measure();
    if (!known) await folder?.append(record);
    records.push(record);
    onProgress?.(records.length, samples.length);
  }
  const summary = summarise(settings, records, metrics);
  await folder?.finish(summary);
  return summary;
}
