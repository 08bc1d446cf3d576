/**
 * Measures policies: the critical hit rate and attention mass of what they keep, and the answers that
 * it leaves.
 *
 * @module
 */
export {
  type BenchmarkMetric,
  type BenchmarkSample,
  type BenchmarkTask,
  type GeneratedTask,
  type GenerationRequest,
  promptText,
  type QuestionOrder,
  userTurn,
} from "./benchmarks/benchmark.ts";
export { BenchmarkError } from "./benchmarks/errors.ts";
export {
  NIAH_DEPTHS,
  niahGrid,
  type NiahGridRequest,
  type NiahNeedle,
  type NiahOptions,
  niahTask,
  ORIGINAL_NEEDLE,
} from "./benchmarks/niah/niah.ts";
export { readJsonLines } from "./benchmarks/json_lines.ts";
export { loadChineseWords, type WordSegmenter } from "./benchmarks/longbench/chinese_words.ts";
export {
  findLongBenchFiles,
  type LongBenchFile,
  type LongBenchSearch,
} from "./benchmarks/longbench/find_files.ts";
export { type LongBenchTask, longBenchTasks } from "./benchmarks/longbench/longbench.ts";
export { type LongBenchReading, readLongBenchFile } from "./benchmarks/longbench/read_file.ts";
export type { LongBenchOptions } from "./benchmarks/longbench/sample.ts";
export {
  measurePerplexity,
  type TextWindow,
  textWindows,
} from "./benchmarks/perplexity/measure.ts";
export {
  readWordProblems,
  type WordProblemOptions,
  wordProblems,
} from "./benchmarks/word_problems/word_problems.ts";
export { readHotpotQa } from "./benchmarks/ruler/hotpot_qa.ts";
export { stringMatchAll, stringMatchPart } from "./benchmarks/ruler/metrics.ts";
export type { Question, QuestionSet } from "./benchmarks/ruler/question_set.ts";
export { readSquad } from "./benchmarks/ruler/squad.ts";
export { type RulerOptions, rulerTasks } from "./benchmarks/ruler/tasks.ts";
export { type Catch, compareWithReference, LOCAL_TOKENS, localShare } from "./critical_hits.ts";
export {
  type HitRate,
  type HitRateReport,
  type HitRateRequest,
  measureHitRates,
  type NamedBudget,
  type PromptHit,
  type PromptRow,
} from "./hit_rate.ts";
export {
  type ComparedPolicies,
  type ComparedRun,
  compareRuns,
  type Comparison,
  type ComparisonReport,
} from "./compare.ts";
export { type PairedDifference, pairedDifference, type ScorePair } from "./paired.ts";
export { readPromptHashes, readRecords, readSummary } from "./report/read_run.ts";
export { writeReport } from "./report/write_report.ts";
export { type BenchmarkRun, runBenchmark, type RunSample } from "./run/benchmark_run.ts";
export { type PlannedSample, runSamples } from "./run/measure_sample.ts";
export { type SampleMeasurement } from "./run/measurement.ts";
export type {
  CellRecord,
  RunSettings,
  RunSummary,
  SampleRecord,
  SummaryRow,
  TimingRow,
} from "./run/record.ts";
export type { QuestionSetting } from "./run/run_prompt.ts";
export {
  type NamedPolicy,
  parsePolicies,
  type PolicyDefaults,
  type PolicyListOptions,
} from "./policy_list.ts";
export { type EvidenceReading, type PromptEvidence, readEvidence } from "./prompt_evidence.ts";
export {
  type BrokenLine,
  type EvaluationPrompt,
  type KnownAnswer,
  type PromptSet,
  readPromptSet,
} from "./prompt_set.ts";
export { makeCodes } from "./right_answers/codes.ts";
export { type FactsOptions, makeFacts } from "./right_answers/facts.ts";
export {
  type AnswerItem,
  type Frames,
  isRight,
  messagesOf,
  type QuestionPlace,
  type Split,
} from "./right_answers/item.ts";
export {
  type AnswerRow,
  type GivenAnswer,
  measureRightAnswers,
  type RightAnswers,
  type RightAnswersReport,
  type RightAnswersRequest,
} from "./right_answers/measure.ts";
export { type Estimate, estimate, type Interval, wilson } from "./statistics.ts";
