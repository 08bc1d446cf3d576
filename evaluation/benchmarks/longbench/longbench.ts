import { type BenchmarkSample, type BenchmarkTask, firstLineOf } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { createJsonLine, type JsonLine, readJsonLines } from "../json_lines.ts";
import { loadChineseWords, type WordSegmenter } from "./chinese_words.ts";
import { longBenchMetrics } from "./metrics.ts";
import { LONGBENCH_PLANS, type LongBenchPlan } from "./plans.ts";
import { type LongBenchOptions, longBenchSample } from "./sample.ts";

const FORMAT = "LongBench";

/** One of LongBench's 21 tasks. */
export interface LongBenchTask extends BenchmarkTask {
  /** Language of its texts. */
  readonly language: "en" | "zh" | "code";
  /** Whether anything is asked behind the context: a question that can follow the eviction. */
  readonly hasQuestion: boolean;
  /** Whether the question can stand in front: not where it goes on with the context. */
  readonly questionFirst: boolean;
  /** Most tokens of an output. */
  readonly maxTokens: number;
  /**
   * Reads samples from the text of one of LongBench's files.
   *
   * @param place Where the text comes from, for errors.
   * @throws {BenchmarkError} If it is not one of this task's.
   */
  read(text: string, place: string, options: LongBenchOptions): readonly BenchmarkSample[];
  /** As {@linkcode LongBenchTask.read}, from rows as they stand in a table. */
  readRows(
    rows: readonly Readonly<Record<string, unknown>>[],
    place: string,
    options: LongBenchOptions,
  ): readonly BenchmarkSample[];
}

/**
 * LongBench's 21 tasks, in its order, with its prompts, lengths and metrics.
 *
 * Paper: https://arxiv.org/abs/2308.14508.
 *
 * @param chineseWords Cuts Chinese into words; jieba if absent, as in LongBench.
 *
 * @example
 * ```ts
 * import { longBenchTasks } from "./longbench.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const task = (await longBenchTasks()).find(({ name }) => name === "passage_count");
 * const line = { input: "", context: "Paragraph 1: A.", answers: ["1"], length: 3, all_classes: null };
 * const tokenizer = { encode: (text: string) => [...text].map(Number), decode: () => "" };
 * const [sample] = task?.read(JSON.stringify(line), "a text", { tokens: 4096, tokenizer }) ?? [];
 * assertEquals(sample && task?.metric("There are 1 or 2.", sample), 0.5);
 * ```
 */
export async function longBenchTasks(
  chineseWords?: WordSegmenter,
): Promise<readonly LongBenchTask[]> {
  const metrics = longBenchMetrics(chineseWords ?? await loadChineseWords());
  return LONGBENCH_PLANS.map((plan) => createTask(plan, metrics[plan.metric]));
}

function createTask(
  plan: LongBenchPlan,
  judge: ReturnType<typeof longBenchMetrics>[LongBenchPlan["metric"]],
): LongBenchTask {
  const samplesOf = (lines: readonly JsonLine[], options: LongBenchOptions) =>
    lines.slice(0, options.samples ?? Infinity).map((line, at) =>
      longBenchSample(plan, line, `${plan.name}-${at}`, options)
    );
  return {
    name: plan.name,
    summary: plan.summary,
    metricName: plan.metric,
    language: plan.language,
    maxTokens: plan.maxTokens,
    hasQuestion: plan.question !== "none",
    questionFirst: plan.question === "apart",
    metric: (output, sample) => {
      const counted = plan.firstLine ? firstLineOf(output).line : output;
      return Math.max(0, ...sample.answers.map((answer) => judge(counted, answer, sample)));
    },
    read: (text, place, options) => samplesOf(readJsonLines(text, place, FORMAT), options),
    readRows: (rows, place, options) => {
      if (rows.length === 0) {
        throw new BenchmarkError(`Cannot read ${place} as ${FORMAT}: it has no rows; give another`);
      }
      const lines = rows.map((row, at) => createJsonLine(row, `${place}, row ${at + 1},`, FORMAT));
      return samplesOf(lines, options);
    },
  };
}
