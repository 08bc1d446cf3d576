/**
 * Measures policies: how many of the tokens that an answer attends to they keep, and what answers they
 * leave, on benchmarks whose runs are written down, compared and reported.
 *
 * @example The policies and the prompts that hit rates are measured with
 * ```ts
 * import { parsePolicies, readPromptSet } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policies = await parsePolicies("random,snapkv(window=8)");
 * const { prompts } = readPromptSet('{"prompt": "Mill Lane has 12 houses."}', "a text");
 * assertEquals([policies.length, prompts.length], [2, 1]);
 * ```
 *
 * @module
 */

// What is measured.
export {
  type BrokenLine,
  type EvaluationPrompt,
  type KnownAnswer,
  type PromptSet,
  readPromptSet,
} from "./prompt_set.ts";
export { type NamedPolicy, parsePolicies, type PolicyListOptions } from "./policy_list.ts";
export type { PolicyDefaults } from "../plugins/load_policy.ts";

// Hit rates.
export {
  type HeadRates,
  type HitRate,
  type HitRateReport,
  type HitRateRequest,
  measureHitRates,
  type PromptHit,
  type PromptRow,
} from "./hit_rate.ts";
export type { Measurement, NamedBudget } from "./measurement.ts";
export type { Estimate, Interval } from "./statistics.ts";

// Benchmarks.
export type {
  BenchmarkMetric,
  BenchmarkSample,
  BenchmarkTask,
  GeneratedTask,
  GenerationRequest,
  QuestionOrder,
} from "./benchmarks/benchmark.ts";
export { BenchmarkError } from "./benchmarks/errors.ts";
export { type NiahNeedle, type NiahOptions, niahTask } from "./benchmarks/niah/niah.ts";
export { type RulerOptions, rulerTasks } from "./benchmarks/ruler/tasks.ts";
export type { Question, QuestionSet } from "./benchmarks/ruler/question_set.ts";
export { type LongBenchTask, longBenchTasks } from "./benchmarks/longbench/longbench.ts";
export type { LongBenchOptions } from "./benchmarks/longbench/sample.ts";
export type { WordSegmenter } from "./benchmarks/longbench/chinese_words.ts";

// Runs.
export { type PlannedSample, runSamples } from "./run/measure_sample.ts";
export type { QuestionSetting } from "./run/run_prompt.ts";
export type { SampleMeasurement } from "./run/measurement.ts";
export {
  type BenchmarkRun,
  type MeasureElsewhere,
  runBenchmark,
  type RunSample,
} from "./run/benchmark_run.ts";
export type { TextWindow } from "./benchmarks/perplexity/measure.ts";
export type { SampleWork } from "./run/sample_work.ts";
export type { CellRecord, MachineRecord, RunSettings, SampleRecord } from "./run/record.ts";
export type { RunSummary, SummaryRow, TimingRow } from "./run/summary_record.ts";
export { readSummary } from "./report/read_run.ts";
export { writeReport } from "./report/write_report.ts";
export {
  type ComparedPolicies,
  type ComparedRun,
  compareRuns,
  type Comparison,
  type ComparisonReport,
} from "./compare.ts";
