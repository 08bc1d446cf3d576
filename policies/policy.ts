/**
 * What an eviction policy is: the only file that a policy needs to import.
 *
 * @module
 */

import type { Rescore, Score } from "./_kernel.ts";

export * from "./_kernel.ts";

/** A value, or a promise of it. */
export type MaybePromise<T> = T | Promise<T>;

/** Trained (or untrained) embeddings that are appended to a prompt to probe it. */
export interface SoftTokens {
  /** Number of soft tokens. */
  readonly count: number;
  /** Embedding size of the model that they belong to. */
  readonly hidden: number;
  /** The embeddings, `[count, hidden]`, row-major. */
  readonly embeddings: Float32Array;
  /** Low-rank weights that act on the soft tokens' rows alone. */
  readonly adapters?: SoftAdapters;
  /**
   * Fingerprint of the checkpoint they were trained on. Without it and without an identity they fit
   * any model of this hidden size.
   */
  readonly fingerprint?: string;
  /** {@linkcode ModelFacts.identity} of that checkpoint: other formats of the model fit too. */
  readonly identity?: string;
  /** Whether the embeddings come from training. */
  readonly trained: boolean;
  /** Why they are what they are, for the session's notes. */
  readonly note?: string;
  /** Facts about the training, as they stand in the file's metadata. */
  readonly card?: Readonly<Record<string, string>>;
}

/** Low-rank weights beside the frozen ones: a product `x·W` becomes `x·W + (x·a)·b`. */
export interface SoftAdapters {
  /** Columns of each `a`, rows of each `b`. */
  readonly rank: number;
  /**
   * Row-major: `adapter.L.p.a [in, rank]` and `adapter.L.p.b [rank, out]` for each layer `L`, where
   * the projection `p` is `q`, `k`, `v`, `o`, `gate`, `up` or `down`.
   */
  readonly tensors: Readonly<Record<string, Float32Array>>;
}

/** What the {@linkcode SoftTokens} factory of a policy is told about the model, and lent by it. */
export interface ModelFacts {
  /** Embedding size. */
  readonly hidden: number;
  /** Layers of the model. */
  readonly layers: number;
  /** Fingerprint of the checkpoint: its bytes, so that every format of a model has its own. */
  readonly fingerprint: string;
  /** What all formats of a model share: a hash of the weights that no format rounds. */
  readonly identity: string;
  /** Root mean square of the model's token embeddings, to scale untrained soft tokens. */
  readonly embeddingRms: number;
  /**
   * Reads soft tokens from a safetensors file.
   *
   * @param source Path, or `file:`, `http:` or `https:` URL.
   */
  readonly readSoftTokens: (source: string | URL) => Promise<SoftTokens>;
}

/** The queries of the answer itself, for oracle experiments. */
export type QuerySource =
  /** Token ids of a known answer, appended to the prompt and rolled back. */
  | { readonly kind: "tokens"; readonly ids: readonly number[] }
  /** The model's own greedy answer with the full cache: that many steps, rolled back. */
  | { readonly kind: "greedy"; readonly steps: number };

/** What the runtime must gather before a policy can score. */
export type Evidence =
  /** Keys, values and positions only. */
  | { readonly kind: "none" }
  /** The last `size` prompt queries. */
  | { readonly kind: "window"; readonly size: number }
  /** Queries of soft tokens, appended after the prompt and rolled back. */
  | {
    readonly kind: "soft";
    readonly tokens: (model: ModelFacts) => MaybePromise<SoftTokens>;
  }
  /** Attention received from every prompt query, summed over the whole prefill. */
  | { readonly kind: "accumulated" }
  /**
   * Mean and covariance of the prompt's queries, the first `skip` left out, turned by the mean
   * rotation of the next `future` positions: what queries to come are expected to be.
   */
  | { readonly kind: "statistics"; readonly skip: number; readonly future: number }
  /**
   * Queries of a draft of the answer: the prompt is evicted with the draft policy to the same budget,
   * `steps` tokens are decoded greedily, and their queries are shown to the whole prompt. With a
   * `window`, the last prompt queries judge too, each query counting the same.
   */
  | {
    readonly kind: "lookahead";
    readonly steps: number;
    readonly draft: Policy;
    readonly window?: number;
  }
  /** Queries that a {@linkcode QuerySource} supplies. */
  | { readonly kind: "given"; readonly queries: QuerySource };

/** What queries to come are expected to make of each cached token: moments of attention logits. */
export interface ExpectedLogits {
  /** Mean, `[heads × length]`. */
  readonly mean: Float32Array;
  /** Variance, `[heads × length]`. */
  readonly variance: Float32Array;
}

/**
 * One layer of the KV cache, as a policy sees it. All shapes are row-major.
 *
 * A query attends to every key that it can see; `attention()` then keeps the prompt's columns.
 * Arrays are the policy's own: writing into them changes nothing but the copy.
 */
export interface LayerView {
  /** Index of this layer, from 0. */
  readonly layer: number;
  /** Layers of the model. */
  readonly layers: number;
  /** Query heads. */
  readonly heads: number;
  /** KV heads; `heads / kvHeads` query heads share one (GQA). */
  readonly kvHeads: number;
  /** Head size. */
  readonly headDim: number;
  /** Cached tokens per KV head. */
  readonly length: number;
  /**
   * Positions that the keys are rotated at, `[kvHeads × length]`: those of the text, or those that
   * an earlier eviction turned them to.
   */
  readonly positions: Int32Array;
  /** Keys, rotated at their positions, `[length, kvHeads, headDim]`. */
  keys(): Promise<Float32Array>;
  /** Values, `[length, kvHeads, headDim]`. */
  values(): Promise<Float32Array>;
  /**
   * Attention paid to each cached token, `[heads × length]`: the mean over the evidence queries, or
   * the sum over all prompt queries when the evidence is `accumulated`.
   *
   * @throws {EvidenceError} If the policy declared no evidence that has queries.
   */
  attention(): Promise<Float32Array>;
  /** {@linkcode LayerView.attention} averaged over the query heads of each group, `[kvHeads × length]`. */
  groupAttention(): Promise<Float32Array>;
  /**
   * Logits (scaled by `1 / √headDim`) of each cached token under the Gaussian of `statistics`.
   *
   * @throws {EvidenceError} If the policy declared other evidence.
   */
  expectedLogits(): Promise<ExpectedLogits>;
  /**
   * Cosines between the keys of some tokens and those of all tokens of a KV head,
   * `[tokens × length]`; 0 for a key without length.
   *
   * @throws {PolicyError} If there is no such head or token.
   */
  similarity(kvHead: number, tokens: Int32Array): Promise<Float32Array>;
  /**
   * How far each cached value can move the layer's output, `[kvHeads × length]`: the sum of the
   * absolute values of `W_O · V`, the mean over the query heads of each group.
   */
  outputNorms(): Promise<Float32Array>;
}

/** Tokens that are always kept. They count towards the budget. */
export interface Protection {
  /** Leading tokens (attention sinks). @default {0} */
  readonly sinks?: number;
  /** Last tokens. @default {0} */
  readonly recent?: number;
}

/** What an allocator knows when it divides a budget among the layers. */
export interface AllocationRequest {
  /** Layers of the model. */
  readonly layers: number;
  /** Cached tokens per KV head before eviction. */
  readonly length: number;
  /** Budget: tokens per KV head and layer, on average. */
  readonly budget: number;
}

/** Divides a budget among the layers: tokens per KV head, one number per layer. */
export type BudgetAllocator = (request: AllocationRequest) => MaybePromise<readonly number[]>;

/** What is known when the budget of a layer is divided among its KV heads. */
export interface HeadAllocationRequest {
  /** Scores of each KV head's tokens; `Infinity` for those that are always kept. */
  readonly scores: readonly Float32Array[];
  /** Tokens per KV head, on average. */
  readonly keep: number;
}

/**
 * Divides the budget of a layer among its KV heads: tokens of each, from 1 to as many as it holds, that
 * come to `keep` times the heads, or to all that is held if that is less.
 */
export type HeadAllocator = (request: HeadAllocationRequest) => MaybePromise<readonly number[]>;

/** A second look at the tokens of a layer, once the best are chosen. */
export interface SecondStage {
  /**
   * Share of a KV head's budget, from 0 to 1, that goes to the best by `score`, protected tokens
   * included. The rest goes by `rescore`.
   */
  readonly first: number;
  /** Other scores, made of those of `score`: both `[kvHeads × length]`. */
  readonly rescore: Rescore;
}

/** How a policy evicts while an answer is written. */
export interface DecodingPhase {
  /** Tokens that are written between two evictions. */
  readonly every: number;
  /** Tokens per KV head and layer, on average, that each eviction leaves. @default {the budget} */
  readonly target?: number;
}

/** A policy that evicts before another, to a budget of its own. */
export interface FirstRound {
  /** The policy. */
  readonly policy: Policy;
  /** What it leaves, as a multiple of the budget, at least 1. */
  readonly factor?: number;
  /** Tokens per KV head that it leaves, in place of a multiple. */
  readonly tokens?: number;
}

/** When a policy evicts besides when a prompt was read. */
export interface Phases {
  /** Absent: what is written stays. */
  readonly decoding?: DecodingPhase;
}

/** What both kinds of policy have. */
export interface PolicyBase {
  /** Name as in the registry, snake_case. */
  readonly name: string;
  /** Address of the paper. */
  readonly paper?: string;
  /** What the runtime must gather. */
  readonly evidence: Evidence;
  /** The options in force, for records. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** How the budget is divided among layers. Absent: the same for each. */
  readonly allocate?: BudgetAllocator;
  /** When it evicts besides. */
  readonly phases?: Phases;
  /**
   * `"contiguous"`: after each eviction the kept keys are rotated on to positions without gaps, and the
   * text goes on behind them. Absent: keys stay where they were read.
   */
  readonly positions?: "contiguous";
  /** What evicts first: the policy is shown, and may keep, what that left. */
  readonly first?: FirstRound;
  /** `false`: everything is kept whatever the budget is, and nothing is scored. @default {true} */
  readonly evicts?: boolean;
}

/** Ranks cached tokens. Higher scores are kept. */
export interface ScorerPolicy extends PolicyBase {
  /** Tokens that are always kept, given the tokens to keep and the tokens cached. */
  readonly protect?: Protection | ((keep: number, length: number) => MaybePromise<Protection>);
  /**
   * How the budget of a layer is divided among its KV heads, once it is scored. Absent: the same for
   * each. Heads that hold different numbers of tokens are from then on shown to policies one by one,
   * each as a layer with one KV head.
   */
  readonly allocateHeads?: HeadAllocator;
  /** Absent: `score` alone decides which tokens a KV head keeps. */
  readonly secondStage?: SecondStage;
  /** Scores of a layer's tokens, `[kvHeads × length]`. */
  readonly score: Score;
}

/** Full power: chooses the kept tokens itself. A {@linkcode ScorerPolicy} is lifted to one. */
export interface EvictionPolicy extends PolicyBase {
  /** Kept indices of a layer, one ascending array per KV head, `keep` entries each. */
  select(layer: LayerView, keep: number): MaybePromise<readonly Int32Array[]>;
}

/** A policy of either kind. */
export type Policy = ScorerPolicy | EvictionPolicy;

/** A policy's option is out of range or of the wrong type. */
export class OptionError extends RangeError {
  /** Always `"OptionError"`. */
  override readonly name = "OptionError";
}
