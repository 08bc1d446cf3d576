/**
 * All that sessions take and give: budgets, prompts, sampling, marks, saved caches.
 *
 * @example A budget from a text, as on a command line
 * ```ts
 * import { type Budget, parseBudget } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const budget: Budget = parseBudget("50%");
 * assertEquals(budget, { ratio: 0.5 });
 * ```
 *
 * @module
 */
export type { CachePrecision, NarrowPrecision } from "../cache/narrow_rows.ts";
export { type Budget, parseBudget, type UniformBudget } from "../evict/budget.ts";
export type { KeptTokens } from "../evict/choose.ts";
export type { TokenSpan } from "../evict/pinned.ts";
export type { Reading, ReadTimes } from "../evict/read.ts";
export type { AttentionSums } from "../evidence/accumulated.ts";
export {
  type Constraint,
  type ConstraintCompiler,
  type ConstraintSpec,
  createConstraintCompiler,
  type TokenMask,
  type ToolSpec,
} from "../sampling/constraint.ts";
export type { JsonSchema, SchemaObject } from "../sampling/schema/keywords.ts";
export type { SamplingOptions } from "../sampling/sampler.ts";
export type { Prompt } from "../tokenizer/prompt.ts";
export type {
  FinishReason,
  GenerateOptions,
  Generation,
  GenerationSource,
  GenerationStart,
} from "./generate.ts";
export type { SessionMark } from "./marks.ts";
export { readSavedCacheInfo } from "./saved/file.ts";
export { type SavedCacheInfo } from "./saved/info.ts";
export type { Judge, SavedCacheRecord } from "./saved/record.ts";
export type { ForkOptions, ReadOptions, Session, SessionOptions } from "./session.ts";
export type { SessionStats } from "./stats.ts";
export type { PhaseTimes } from "./tally.ts";
export type { Transcript } from "./transcript.ts";
