import type { BenchmarkSample, GeneratedTask } from "../../evaluation/benchmarks/benchmark.ts";
import type { PlannedSample } from "../../evaluation/run/measure_sample.ts";
import type { QuestionSetting } from "../../evaluation/run/run_prompt.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";

/** Counts tokens as the model will, without what opens a text. */
export function tokenCounter(tokenizer: Tokenizer): (text: string) => number {
  return (text) => tokenizer.encode(text, { bos: false }).length;
}

/** Every sample in every setting, one setting after the other. */
export function inEverySetting(
  samples: readonly BenchmarkSample[],
  settings: readonly QuestionSetting[],
  { metric }: Pick<GeneratedTask, "metric">,
  group: (sample: BenchmarkSample) => string,
): PlannedSample[] {
  return settings.flatMap((setting) =>
    samples.map((sample) => ({ sample, metric, setting, group: group(sample) }))
  );
}
