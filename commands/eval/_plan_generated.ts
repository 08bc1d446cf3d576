import type { BenchmarkSample, BenchmarkTask } from "../../evaluation/benchmarks/benchmark.ts";
import type { RunSample } from "../../evaluation/run/benchmark_run.ts";
import type { QuestionSetting } from "../../evaluation/run/run_prompt.ts";
import type { Model } from "../../runtime/model.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";

/** Counts tokens as the model will, without what opens a text. */
export function tokenCounter(tokenizer: Tokenizer): (text: string) => number {
  return (text) => tokenizer.encode(text, { bos: false }).length;
}

/** Samples of one task whose rows belong together. */
export interface SampleGroup {
  readonly task: BenchmarkTask;
  /** What its rows are called besides the task and how the question is asked. */
  readonly group: string;
  readonly samples: readonly BenchmarkSample[];
}

/** Every sample in every setting, one setting after the other within a group. */
export async function inEverySetting(
  groups: readonly SampleGroup[],
  settings: readonly QuestionSetting[],
  model: Model,
): Promise<readonly RunSample[]> {
  const { runSamples } = await import("../../evaluation/run/measure_sample.ts");
  const planned = groups.flatMap(({ task: { metric }, group, samples }) =>
    settings.flatMap((setting) => samples.map((sample) => ({ sample, metric, setting, group })))
  );
  return runSamples(planned, model);
}
