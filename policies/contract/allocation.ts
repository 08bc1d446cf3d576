import type { MaybePromise } from "./maybe_promise.ts";

/** What an allocator knows when it divides a budget among the layers. */
export interface AllocationRequest {
  /** Layers of the model that can be evicted: those that do not slide. */
  readonly layers: number;
  /** Cached tokens per KV head before eviction. */
  readonly length: number;
  /** Budget: tokens per KV head and layer, on average. */
  readonly budget: number;
}

/** Divides a budget among these layers: tokens per KV head, one number for each. */
export type BudgetAllocator = (request: AllocationRequest) => MaybePromise<readonly number[]>;

/** What is known when the budget of a layer, or of all layers, is divided among KV heads. */
export interface HeadAllocationRequest {
  /** Scores of each KV head's tokens; `Infinity` for those that are always kept. */
  readonly scores: readonly Float32Array[];
  /** Tokens per KV head, on average: times the heads it is a whole number. */
  readonly keep: number;
}

/**
 * Divides the budget of a layer, or of all layers, among KV heads: tokens of each, from 1 to as many as
 * it holds, that come to `keep` times the heads, or to all that is held if that is less.
 */
export interface HeadAllocator {
  (request: HeadAllocationRequest): MaybePromise<readonly number[]>;
  /**
   * What the division depends on, where that is not every score: scores that a device made then stay
   * there. It belongs to the function, as a kernel does. Absent: the function is shown all scores.
   */
  readonly division?: HeadDivision;
}

/** What a division of a budget among KV heads depends on. */
export type HeadDivision =
  /**
   * The order of all tokens: each head keeps so many of its own best in any case, at least 1, and what is
   * left goes to the best of all heads; ties go to the lower head.
   */
  | { readonly kind: "best"; readonly safe: (keep: number) => number }
  /** How many tokens heads hold, and which are `Infinity`: all others are shown as 0. */
  | { readonly kind: "sizes" };
