/**
 * What an eviction policy is: the only file that a policy needs to import.
 *
 * A policy is a {@linkcode ScorerPolicy}: it names the {@linkcode Evidence} that it judges by, and its
 * `score` gives a number for each token of a {@linkcode LayerView}. What few policies need comes below
 * and from `contract/`.
 *
 * @module
 */
import type { BudgetAllocator, HeadAllocator } from "./contract/allocation.ts";
import type { RescoreKernel, ScoreKernel } from "./contract/kernel.ts";
import type { LayerShape } from "./contract/layer_shape.ts";
import type { MaybePromise } from "./contract/maybe_promise.ts";
import type { DropMeasure } from "./contract/measure.ts";
import type { Merging } from "./contract/merging.ts";
import type { Phases } from "./contract/phases.ts";
import type { Replay } from "./contract/replay.ts";
import type { Restoring } from "./contract/restoring.ts";
import type { ModelFacts, SoftTokens } from "./contract/soft_tokens.ts";
import type { SurrogateLayer } from "./contract/surrogate.ts";

export * from "./contract/allocation.ts";
export * from "./contract/kernel.ts";
export * from "./contract/layer_shape.ts";
export * from "./contract/maybe_promise.ts";
export * from "./contract/measure.ts";
export * from "./contract/merging.ts";
export * from "./contract/model_file.ts";
export * from "./contract/option_error.ts";
export * from "./contract/phases.ts";
export * from "./contract/replay.ts";
export * from "./contract/restoring.ts";
export * from "./contract/soft_tokens.ts";
export * from "./contract/surrogate.ts";

/** Ranks cached tokens. Higher scores are kept. */
export interface ScorerPolicy extends PolicyBase {
  /** Scores of a layer's tokens, `[kvHeads × length]`. */
  readonly score: Score;
  /** Tokens that are always kept, given the tokens to keep and the tokens cached. */
  readonly protect?: Protection | ((keep: number, length: number) => MaybePromise<Protection>);
  /**
   * How the budget of a layer is divided among its KV heads, once it is scored. Absent: the same for
   * each. Heads that hold different numbers of tokens are from then on shown to policies one by one,
   * each as a layer with one KV head.
   */
  readonly allocateHeads?: HeadAllocator;
  /**
   * Whether `allocateHeads` divides the budget of all layers at once among all their KV heads, once all
   * of them are scored. Absent: layer by layer.
   */
  readonly acrossLayers?: true;
  /** Absent: `score` alone decides which tokens a KV head keeps. */
  readonly secondStage?: SecondStage;
  /**
   * The same policy, by the same name, with one score and the same budget for each KV head, so without
   * `allocateHeads` and `secondStage`: for wrappers that divide budgets themselves. Absent: there is none.
   */
  readonly evenHeads?: ScorerPolicy;
  /**
   * Tokens that score less are dropped though the budget has room for them, but for those that are protected: the
   * budget is then the most that stays, and heads keep different numbers. Absent: the budget is used up.
   */
  readonly threshold?: number;
  /** As in {@linkcode EvictionPolicy}. */
  readonly forModel?: (model: ModelFacts) => MaybePromise<ScorerPolicy>;
}

/** What both kinds of policy have. */
export interface PolicyBase {
  /** Name as in the registry, snake_case. */
  readonly name: string;
  /** Address of the paper. */
  readonly paper?: string;
  /** What the runtime must gather. */
  readonly evidence: Evidence;
  /** The options with their defaults, for records. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** How the budget is divided among layers. Absent: the same for each. */
  readonly allocate?: BudgetAllocator;
  /** When it evicts, besides after a prompt. */
  readonly phases?: Phases;
  /**
   * `"contiguous"`: after each eviction the kept keys are rotated on to positions without gaps, and the
   * text goes on behind them. Absent: keys stay where they were read.
   */
  readonly positions?: "contiguous";
  /** How values of what is dropped go into those of what stays. Absent: they are lost. */
  readonly merging?: Merging;
  /** Soft tokens whose keys and values stay, in place of a part of what is dropped. Absent: none. */
  readonly restores?: Restoring;
  /** What evicts first: the policy is shown, and may keep, what that left. */
  readonly first?: FirstRound;
  /** `false`: everything is kept whatever the budget is, and nothing is scored. @default {true} */
  readonly evicts?: boolean;
  /** What whoever uses it should know, such as that nothing was made for the model. */
  readonly note?: string;
}

/** Tokens that are always kept. They count towards the budget. */
export interface Protection {
  /** Leading tokens (attention sinks). @default {0} */
  readonly sinks?: number;
  /** Last tokens. @default {0} */
  readonly recent?: number;
}

/** What the runtime must gather before a policy can score. */
export type Evidence =
  /** Keys, values and positions only. */
  | { readonly kind: "none" }
  /** The last `size` prompt queries. With a `measure`, `attention()` gives that in place of attention. */
  | { readonly kind: "window"; readonly size: number; readonly measure?: DropMeasure }
  /**
   * Queries of soft tokens, appended after the prompt and rolled back; a `measure` as there. With a
   * `draft`, so many tokens of the answer are decoded greedily with the whole cache first, and the soft
   * tokens stand behind them: `draftAttention()` gives the most that the last prompt token or one of them pays.
   * Where no answer follows (a document before its question, a piece of a text before the next) none is
   * drafted.
   */
  | {
    readonly kind: "soft";
    readonly tokens: (model: ModelFacts) => MaybePromise<SoftTokens>;
    readonly measure?: DropMeasure;
    readonly draft?: number;
  }
  /** Attention received from every prompt query, summed over the whole prefill. */
  | { readonly kind: "accumulated" }
  /**
   * Mean and covariance of the prompt's queries, the first `skip` left out, rotated by the mean
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
  /**
   * The text is read again behind the cache, part by part, and rolled back: `attention()` is then the
   * most that a query of the repetition gives to a token of its part ({@linkcode Replay}).
   */
  | ({ readonly kind: "replay" } & Replay)
  /**
   * What small networks, one for each layer that can be evicted, make of what the layer's attention reads for
   * a token: `attention()` is then their score, the same for all query heads of a group. Scores of tokens
   * that stay are carried on, through evictions and turns. Without networks all scores are 0.
   */
  | { readonly kind: "predicted"; readonly surrogate?: readonly SurrogateLayer[] }
  /** Queries that a {@linkcode QuerySource} supplies. */
  | { readonly kind: "given"; readonly queries: QuerySource };

/** The queries of the answer itself, for oracle experiments. */
export type QuerySource =
  /** Token ids of a known answer, appended to the prompt and rolled back. */
  | { readonly kind: "tokens"; readonly ids: readonly number[] }
  /** The model's own greedy answer with the full cache: that many steps, rolled back. */
  | { readonly kind: "greedy"; readonly steps: number };

/**
 * One layer of the KV cache, as a policy sees it. All shapes are row-major.
 *
 * Its sizes are `layer`, `layers`, `heads`, `kvHeads`, `firstHead`, `headDim` and `length`; its `positions` are where
 * the keys are rotated, `[kvHeads × length]` ({@linkcode LayerShape}).
 *
 * A query attends to every key that it can see; `attention()` then keeps the prompt's columns.
 * Arrays are the policy's own: writing into them changes nothing but the copy.
 */
export interface LayerView extends LayerShape {
  /** Keys, rotated at their positions, `[length, kvHeads, headDim]`. */
  keys(): Promise<Float32Array>;
  /** Values, `[length, kvHeads, headDim]`. */
  values(): Promise<Float32Array>;
  /**
   * Attention paid to each cached token, `[heads × length]`: the mean over the evidence queries, the
   * sum over all prompt queries when the evidence is `accumulated`, or the most when it is `replay`.
   *
   * @throws {EvidenceError} If the policy declared no evidence that has queries.
   */
  attention(): Promise<Float32Array>;
  /** {@linkcode LayerView.attention} averaged over the query heads of each group, `[kvHeads × length]`. */
  groupAttention(): Promise<Float32Array>;
  /**
   * Attention paid to each cached token by the last prompt token and a draft of the answer, the most that
   * one of them pays, `[heads × length]`. Where no answer follows what was read, all tokens are 1.
   *
   * @throws {EvidenceError} If the policy declared no `soft` evidence with a `draft`.
   */
  draftAttention(): Promise<Float32Array>;
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
   *
   * @param wanted Which of them are wanted: the others may be 0. @default {all}
   */
  outputNorms(wanted?: WantedNorms): Promise<Float32Array>;
}

/** Norms that a choice of the best tokens needs: far fewer than there are tokens. */
export interface WantedNorms {
  /** What each norm is multiplied with, `[kvHeads × length]`, none below 0. */
  readonly weights: Float32Array;
  /** How many of the largest products of each KV head must be known. */
  readonly counts: readonly number[];
}

/** What queries to come are expected to make of each cached token: moments of attention logits. */
export interface ExpectedLogits {
  /** Mean, `[heads × length]`. */
  readonly mean: Float32Array;
  /** Variance, `[heads × length]`. */
  readonly variance: Float32Array;
}

/** Scores the tokens of a layer. */
export interface Score {
  (layer: LayerView): MaybePromise<Float32Array>;
  /**
   * The same scores where the cache lives: keys and values then stay there. It belongs to the function,
   * so that whoever puts another in its place does not inherit it. Absent: the score is shown copies.
   */
  readonly kernel?: ScoreKernel;
}

/**
 * A score that can run where the cache lives as well.
 *
 * @param kernel Gives the same scores. Absent: only the function does.
 *
 * @example
 * ```ts
 * import { type ScorerPolicy, withKernel } from "./policy.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy: ScorerPolicy = {
 *   name: "weakest",
 *   evidence: { kind: "window", size: 8 },
 *   score: withKernel(
 *     async (layer) => (await layer.groupAttention()).map((paid) => -paid),
 *     (layer) => layer.op("Neg", [layer.groupAttention()]),
 *   ),
 * };
 * assertEquals(typeof policy.score.kernel, "function");
 * const other: ScorerPolicy = { ...policy, score: ({ length }) => new Float32Array(length) };
 * assertEquals(other.score.kernel, undefined);
 * ```
 */
export function withKernel(score: Score, kernel: ScoreKernel | undefined): Score;
/** The same for a second stage. */
export function withKernel(rescore: Rescore, kernel: RescoreKernel | undefined): Rescore;
export function withKernel<Args extends readonly unknown[], Result, Kernel>(
  score: (...args: Args) => Result,
  kernel: Kernel | undefined,
): typeof score & { readonly kernel?: Kernel } {
  const own = (...args: Args): Result => score(...args);
  return kernel === undefined ? own : Object.assign(own, { kernel });
}

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

/** Scores the tokens of a layer again. */
export interface Rescore {
  /**
   * @param counts Tokens that each KV head keeps in all: no others need be in their order. Absent: all scores
   * are wanted.
   */
  (
    layer: LayerView,
    scores: Float32Array,
    counts?: readonly number[],
  ): MaybePromise<Float32Array>;
  /** The same scores where the cache lives. */
  readonly kernel?: RescoreKernel;
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

/** Full power: chooses the kept tokens itself. A {@linkcode ScorerPolicy} is lifted to one. */
export interface EvictionPolicy extends PolicyBase {
  /** Kept indices of a layer, one ascending array per KV head, `keep` entries each. */
  select(layer: LayerView, keep: number): MaybePromise<readonly Int32Array[]>;
  /**
   * The policy as it is for a model, where it judges by what was made for that. It is asked before
   * anything is read, and gives the same policy for the same model. What it gives may score, protect,
   * divide budgets among heads and ask for evidence of the same kind otherwise; all else stays.
   */
  readonly forModel?: (model: ModelFacts) => MaybePromise<EvictionPolicy>;
}

/** A policy of either kind. */
export type Policy = ScorerPolicy | EvictionPolicy;
