import {
  measureSample,
  plannedId,
  type PlannedSample,
  promptOf,
  type SampleMeasurement,
} from "./measure_sample.ts";
import type { RunSettings, RunSummary, SampleRecord } from "./record.ts";
import { openRunFolder } from "./run_folder.ts";
import { summarise } from "./summary.ts";

/** What {@linkcode runBenchmark} is to do. */
export interface BenchmarkRun extends SampleMeasurement {
  readonly settings: RunSettings;
  readonly samples: readonly PlannedSample[];
  /** How the scores of each task read. */
  readonly metrics: RunSummary["metrics"];
  /** Folder to write to, and to go on from; without one nothing is written. */
  readonly folder?: string;
  /** Is told how many samples are done. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Measures samples one after the other. With a folder, each is written down when it is done: the same
 * run, started again, goes on where it stopped and ends with the same summary, timings aside.
 *
 * @throws {BenchmarkError} If the folder holds another run.
 * @throws {PromptError} If a prompt is longer than the model's context.
 */
export async function runBenchmark(run: BenchmarkRun): Promise<RunSummary> {
  const { settings, samples, metrics, folder: path, signal, onProgress } = run;
  // What cannot be read is better known before the first hour than after it.
  for (const longest of longestByTask(samples)) promptOf(longest, run.model);
  using folder = path === undefined ? undefined : await openRunFolder(path, settings);
  const records: SampleRecord[] = [];
  for (const planned of samples) {
    signal?.throwIfAborted();
    const known = folder?.records.get(plannedId(planned));
    const record = known ?? await measureSample(planned, run);
    if (!known) await folder?.append(record);
    records.push(record);
    onProgress?.(records.length, samples.length);
  }
  const summary = summarise(settings, records, metrics);
  await folder?.finish(summary);
  return summary;
}

/** The sample of each task that has the longest text: likely the one with the most tokens. */
function longestByTask(samples: readonly PlannedSample[]): Iterable<PlannedSample> {
  const longest = new Map<string, PlannedSample>();
  const size = ({ sample }: PlannedSample) => sample.context.length;
  for (const planned of samples) {
    const known = longest.get(planned.sample.task);
    if (!known || size(planned) > size(known)) longest.set(planned.sample.task, planned);
  }
  return longest.values();
}
