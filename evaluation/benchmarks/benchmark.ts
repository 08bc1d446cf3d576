/**
 * What a benchmark is made of: tasks that give samples, and a metric that judges outputs.
 *
 * @module
 */

/** One question to a model. The prompt is context, question and prefix, in the order asked for. */
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
  /** What is expected; how they count together is the metric's affair. */
  readonly answers: readonly string[];
  /** Most tokens of the output. */
  readonly maxTokens: number;
  /** What tables and figures want to know besides: depth, length, needles. */
  readonly facts: Readonly<Record<string, number | string>>;
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
  readonly metric: BenchmarkMetric;
}

/** What generators are given. */
export interface GenerationRequest {
  /** Tokens of the whole prompt, chat template left out: never more, at most 2 % less. */
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
  /** @throws {BenchmarkError} If the length is too short for the task. */
  generate(request: GenerationRequest): Iterable<BenchmarkSample>;
}
