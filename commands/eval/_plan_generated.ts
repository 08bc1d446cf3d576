import type {
  BenchmarkSample,
  BenchmarkTask,
  GeneratedTask,
} from "../../evaluation/benchmarks/benchmark.ts";
import type { RunSample } from "../../evaluation/run/benchmark_run.ts";
import type { QuestionSetting } from "../../evaluation/run/run_prompt.ts";
import type { PlanningModel } from "./_run_plan.ts";

/** Samples of one task whose rows belong together. */
export interface SampleGroup {
  readonly task: BenchmarkTask;
  /** What its rows are called besides the task and how the question is asked. */
  readonly group: string;
  readonly samples: readonly BenchmarkSample[];
}

/** How many samples a task makes up, how long, and from which seed. */
export interface GeneratedSize {
  /** Tokens of the prompts. */
  readonly lengths: readonly number[];
  /** Of each length. */
  readonly samples: number;
  readonly seed: number;
}

/** Samples of tasks that make them up: one group for each task and length. */
export function generatedGroups(
  tasks: readonly GeneratedTask[],
  { lengths, samples, seed }: GeneratedSize,
  { tokenizer }: PlanningModel,
): readonly SampleGroup[] {
  // As the model will count them, without what opens a text.
  const countTokens = (text: string) => tokenizer.encode(text, { bos: false }).length;
  return tasks.flatMap((task) =>
    lengths.map((tokens) => ({
      task,
      group: `${tokens} tokens`,
      samples: [...task.generate({ tokens, samples, seed, countTokens })],
    }))
  );
}

/** Every sample in every setting, one setting after the other within a group. */
export async function inEverySetting(
  groups: readonly SampleGroup[],
  settings: readonly QuestionSetting[],
  model: PlanningModel,
): Promise<readonly RunSample[]> {
  const { runSamples } = await import("../../evaluation/run/measure_sample.ts");
  const planned = groups.flatMap(({ task: { metric }, group, samples }) =>
    settings.flatMap((setting) => samples.map((sample) => ({ sample, metric, setting, group })))
  );
  return runSamples(planned, model);
}
