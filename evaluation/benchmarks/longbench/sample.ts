import * as v from "npm:valibot@1.5.0";
import { FILLED_TEXT, TEXTS } from "../../../runtime/schema.ts";
import type { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import type { BenchmarkSample } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import type { JsonLine } from "../json_lines.ts";
import { PARAGRAPHS } from "./metrics.ts";
import type { LongBenchPlan } from "./plans.ts";

/** How samples are read. */
export interface LongBenchOptions {
  /** Tokens of a whole prompt, chat template left out: longer ones lose their middle. */
  readonly tokens: number;
  /** The model's tokenizer. */
  readonly tokenizer: Pick<Tokenizer, "encode" | "decode">;
  /** At most so many, from the beginning. */
  readonly samples?: number;
}

/** Fields of a line that a sample is made of. */
export const LONGBENCH_FIELDS: readonly string[] = [
  "input",
  "context",
  "answers",
  "length",
  "dataset",
  "all_classes",
];

/**
 * A sample from a line of LongBench's files. The facts are `words` (its length as LongBench counts
 * it), `bucket` (that of LongBench-E) and `cut` (tokens taken out of the middle).
 *
 * @throws {BenchmarkError} If a field is not what it must be.
 */
export function longBenchSample(
  plan: LongBenchPlan,
  { read, place }: JsonLine,
  id: string,
  options: LongBenchOptions,
): BenchmarkSample {
  const refuse = (problem: string): never => {
    throw new BenchmarkError(
      `Cannot read ${place} as LongBench: ${problem}; give the file as it was published`,
    );
  };
  const { dataset, input, answers, context, length, all_classes } = read(lineSchema(plan));
  if (typeof dataset === "string" && dataset.replace(/_e$/, "") !== plan.name) {
    refuse(`"dataset" is "${dataset}", not "${plan.name}"`);
  }
  const paragraph = plan.metric === "retrieval" || plan.metric === "retrieval_zh"
    ? PARAGRAPHS[plan.metric]
    : undefined;
  if (paragraph && !answers.every((answer) => paragraph.test(answer))) {
    refuse(`"answers" must name a paragraph, as in "${PARAGRAPH_NAMES[plan.language]}"`);
  }
  const { cut, ...parts } = withoutMiddle({
    context: plan.before + context,
    question: plan.after.replace("{input}", () => input),
    prefix: plan.cue,
  }, options);
  const words = Number(length);
  return {
    id,
    task: plan.name,
    ...parts,
    prefixInTurn: true,
    answers,
    maxTokens: plan.maxTokens,
    facts: {
      ...(Number.isFinite(words) ? { words, bucket: bucketOf(words) } : {}),
      cut,
    },
    ...(plan.plain ? { plain: true } : {}),
    ...(plan.firstLine ? { firstLine: true } : {}),
    ...(all_classes ? { classes: all_classes } : {}),
  };
}

/** What a line must have; fields that the task does not use may hold anything. */
function lineSchema({ after, metric }: LongBenchPlan) {
  return v.object({
    input: after.includes("{input}") ? v.string() : v.fallback(v.optional(v.string(), ""), ""),
    answers: TEXTS,
    context: FILLED_TEXT,
    dataset: v.optional(v.unknown()),
    length: v.optional(v.unknown()),
    all_classes: metric === "classification"
      ? TEXTS
      : v.fallback(v.optional(v.undefined()), undefined),
  });
}

const PARAGRAPH_NAMES = { en: "Paragraph 1", zh: "段落1", code: "" } as const;

/** How LongBench-E calls a length. */
function bucketOf(words: number): string {
  return words < 4000 ? "0-4k" : words < 8000 ? "4-8k" : "8k+";
}

type Parts = Pick<BenchmarkSample, "context" | "question" | "prefix">;

/** Takes tokens out of the middle of a prompt that is too long, as LongBench does. */
function withoutMiddle(
  parts: Parts,
  { tokens, tokenizer }: LongBenchOptions,
): Parts & { readonly cut: number } {
  const { context, question, prefix } = parts;
  const encode = (text: string) => tokenizer.encode(text, { bos: false });
  const ids = encode(context + question + prefix);
  if (ids.length <= tokens) return { ...parts, cut: 0 };
  let head = "";
  let tail = "";
  let half = Math.floor(tokens / 2);
  // Where the halves meet, the text may take a token more than they did.
  for (;; half--) {
    // A character of several tokens that was cut in two is no character.
    head = tokenizer.decode(ids.slice(0, half)).replace(/\uFFFD+$/, "");
    tail = tokenizer.decode(ids.slice(-half)).replace(/^\uFFFD+/, "");
    if (half === 1 || encode(head + tail).length <= tokens) break;
  }
  const cut = ids.length - 2 * half;
  const end = question + prefix;
  if (tail.endsWith(end)) {
    return { ...parts, context: head + tail.slice(0, tail.length - end.length), cut };
  }
  // What is asked is longer than half of the prompt and has lost its own beginning.
  return tail.endsWith(prefix)
    ? { context: head, question: tail.slice(0, tail.length - prefix.length), prefix, cut }
    : { context: head, question: tail, prefix: "", cut };
}
