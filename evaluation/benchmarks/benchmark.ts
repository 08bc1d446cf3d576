/**
 * What a benchmark is made of: tasks that give samples, and a metric that judges outputs.
 *
 * @module
 */

/**
 * One question to a model: {@linkcode promptText} joins its parts. All that separates them stands in
 * them.
 */
export interface BenchmarkSample {
  /** Stable for the same settings: task, length and number. */
  readonly id: string;
  /** Name of the task. */
  readonly task: string;
  /** What is read and evicted. */
  readonly context: string;
  /** What is asked about it. */
  readonly question: string;
  /** How the answer begins; empty where the model begins it itself. */
  readonly prefix: string;
  /**
   * Whether the prefix closes the user's turn of a chat instead of opening the assistant's.
   *
   * @default {false}
   */
  readonly prefixInTurn?: boolean;
  /** What is expected; how they count together is the metric's affair. */
  readonly answers: readonly string[];
  /** Most tokens of the output. */
  readonly maxTokens: number;
  /** Whether only the output's first line counts: it ends there. @default {false} */
  readonly firstLine?: boolean;
  /** What an output may be sorted into, where that is asked. */
  readonly classes?: readonly string[];
  /** Whether it is read as it stands, also by a model that chats. @default {false} */
  readonly plain?: boolean;
  /** What tables and figures want to know besides: depth, length, needles. */
  readonly facts: Readonly<Record<string, number | string>>;
}

/** Where the question stands: behind the context or before it. */
export type QuestionOrder = "last" | "first";

/**
 * What the user says: context and question as they are, or the question, an empty line and the
 * context.
 */
export function userTurn(
  { context, question }: Pick<BenchmarkSample, "context" | "question">,
  order: QuestionOrder,
): string {
  return order === "last"
    ? `${context}${question}`
    : [question.trim(), context.trimEnd()].filter(Boolean).join("\n\n");
}

/**
 * The prompt as plain text: {@linkcode userTurn} and the prefix. In a chat the prefix opens the
 * assistant's turn instead, or closes the user's.
 *
 * @example
 * ```ts
 * import { promptText } from "./benchmark.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const sample = { context: "The sky is blue.\n", question: "What is blue?", prefix: " Answer:" };
 * assertEquals(promptText(sample, "last"), "The sky is blue.\nWhat is blue? Answer:");
 * assertEquals(promptText(sample, "first"), "What is blue?\n\nThe sky is blue.\n\nAnswer:");
 * ```
 */
export function promptText(
  sample: Pick<BenchmarkSample, "context" | "question" | "prefix">,
  order: QuestionOrder,
): string {
  const { prefix } = sample;
  const turn = userTurn(sample, order);
  return order === "last" || prefix === ""
    ? `${turn}${prefix}`
    : `${turn}\n\n${prefix.trimStart()}`;
}

/** Judges an output against a sample, from 0 to 1. */
export type BenchmarkMetric = (output: string, sample: BenchmarkSample) => number;

/** One task of a benchmark. */
export interface BenchmarkTask {
  /** Name, snake_case. */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** Name of the metric, for reports. */
  readonly metricName: string;
  /** Judges its output. */
  readonly metric: BenchmarkMetric;
}

/** What generators are given. */
export interface GenerationRequest {
  /**
   * Tokens of the whole prompt, chat template left out: never more in either order, at most 2 % less
   * with the question last.
   */
  readonly tokens: number;
  /** Samples. */
  readonly samples: number;
  /** The same seed gives the same bytes. */
  readonly seed: number;
  /** Counts tokens as the model will. */
  readonly countTokens: (text: string) => number;
}

/** A task whose samples are made up at any length. */
export interface GeneratedTask extends BenchmarkTask {
  /**
   * Makes samples.
   *
   * @throws {BenchmarkError} If the length is too short for the task.
   */
  generate(request: GenerationRequest): Iterable<BenchmarkSample>;
}

/** The first line of an output that has text, and whether it is complete. */
export function firstLineOf(output: string): { readonly line: string; readonly complete: boolean } {
  const [line = "", ...rest] = output.replace(/^\n+/, "").split("\n");
  return { line, complete: rest.length > 0 };
}
