import type { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import type { BenchmarkSample, BenchmarkTask } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { type JsonLine, readJsonLines } from "../json_lines.ts";
import { createShapeReader } from "../ruler/question_set.ts";
import { LONGBENCH_METRICS } from "./metrics.ts";
import { LONGBENCH_PLANS, type LongBenchPlan } from "./plans.ts";

const FORMAT = "LongBench";

/** How samples are read. */
export interface LongBenchOptions {
  /** Tokens of a whole prompt, chat template left out: longer ones lose their middle. */
  readonly tokens: number;
  readonly tokenizer: Pick<Tokenizer, "encode" | "decode">;
  /** At most so many, from the beginning. */
  readonly samples?: number;
}

/** One of LongBench's 21 tasks. */
export interface LongBenchTask extends BenchmarkTask {
  /** Whether the question can stand in front: not where it goes on with the context. */
  readonly questionFirst: boolean;
  /** Most tokens of an output. */
  readonly maxTokens: number;
  /**
   * Reads samples from one of LongBench's files.
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
 * Differs from LongBench: where an output names several classes, all of those that the right one is
 * made of are struck out; LongBench's loop passes over the one behind each that it strikes out.
 *
 * Paper: https://arxiv.org/abs/2308.14508.
 *
 * @example
 * ```ts
 * import { longBenchTasks } from "./longbench.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const task = longBenchTasks().find(({ name }) => name === "passage_count");
 * const line = { input: "", context: "Paragraph 1: A.", answers: ["1"], length: 3, all_classes: null };
 * const tokenizer = { encode: (text: string) => [...text].map(Number), decode: () => "" };
 * const [sample] = task?.read(JSON.stringify(line), "a text", { tokens: 4096, tokenizer }) ?? [];
 * assertEquals(sample && task?.metric("There are 1 or 2.", sample), 0.5);
 * ```
 */
export function longBenchTasks(): readonly LongBenchTask[] {
  return LONGBENCH_PLANS.map(createTask);
}

function createTask(plan: LongBenchPlan): LongBenchTask {
  const judge = LONGBENCH_METRICS[plan.metric];
  const samplesOf = (lines: readonly JsonLine[], options: LongBenchOptions) =>
    lines.slice(0, options.samples ?? Infinity).map((line, at) =>
      sampleOf(plan, line, at, options)
    );
  return {
    name: plan.name,
    summary: plan.summary,
    metricName: plan.metric,
    maxTokens: plan.maxTokens,
    questionFirst: plan.plain !== true,
    metric: (output, sample) => {
      const counted = plan.firstLine ? output.replace(/^\n+/, "").split("\n")[0] ?? "" : output;
      return Math.max(0, ...sample.answers.map((answer) => judge(counted, answer, sample)));
    },
    read: (text, place, options) => samplesOf(readJsonLines(text, place, FORMAT), options),
    readRows: (rows, place, options) => {
      if (rows.length === 0) {
        throw new BenchmarkError(`Cannot read ${place} as ${FORMAT}: it has no rows; give another`);
      }
      return samplesOf(
        rows.map((value, at) => ({
          value,
          read: createShapeReader(`${place}, row ${at + 1},`, FORMAT),
        })),
        options,
      );
    },
  };
}

function sampleOf(
  plan: LongBenchPlan,
  { value, read }: JsonLine,
  at: number,
  options: LongBenchOptions,
): BenchmarkSample {
  // Some tasks ask the same of every context: their input is empty.
  const input = plan.after.includes("{input}") ? read.text(value.input, '"input"') : "";
  const context = plan.before + read.text(value.context, '"context"');
  const question = plan.after.replace("{input}", () => input);
  const texts = (list: unknown, name: string) =>
    read.array(list, `"${name}"`).map((one, index) => read.text(one, `"${name}[${index}]"`));
  const classes = value.all_classes ?? undefined;
  const cut = withoutMiddle({ context, question }, options);
  return {
    id: `${plan.name}-${at}`,
    task: plan.name,
    ...cut,
    prefix: "",
    answers: texts(value.answers, "answers"),
    maxTokens: plan.maxTokens,
    facts: { cut: cut.context === context ? 0 : 1 },
    ...(plan.plain ? { plain: true } : {}),
    ...(classes === undefined ? {} : { classes: texts(classes, "all_classes") }),
  };
}

type Parts = Pick<BenchmarkSample, "context" | "question">;

/** Takes tokens out of the middle of a prompt that is too long, as LongBench does. */
function withoutMiddle(
  { context, question }: Parts,
  { tokens, tokenizer }: LongBenchOptions,
): Parts {
  const ids = tokenizer.encode(context + question, { bos: false });
  if (ids.length <= tokens) return { context, question };
  const half = Math.floor(tokens / 2);
  const text = tokenizer.decode(ids.slice(0, half)) + tokenizer.decode(ids.slice(-half));
  // A question that is longer than half of the prompt has lost its beginning.
  return text.endsWith(question)
    ? { context: text.slice(0, text.length - question.length), question }
    : { context: text, question: "" };
}
