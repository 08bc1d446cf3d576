import type { DeviceTensor } from "../../kernels/device/device.ts";
import type { LayerView, RescoreKernel, ScoreKernel } from "../../policies/policy.ts";

/** Which tokens of a layer are the best. */
export interface BestRequest {
  /** Tokens per KV head that are wanted. */
  readonly count: number;
  /** Leading tokens that are among them in any case. */
  readonly sinks: number;
  /** Last tokens that are. */
  readonly recent: number;
  /** Others that are, indices per KV head. */
  readonly pinned?: readonly Int32Array[];
  /** How all but the first `firstCount` tokens are chosen by other scores. */
  readonly second?: {
    readonly kernel: RescoreKernel;
    readonly firstCount: number;
  };
}

/** Runs score kernels where the entries of a layer lie. */
export interface LayerScorer {
  /** Scores, `[kvHeads × length]`, in main memory. */
  scores(kernel: ScoreKernel): Promise<Float32Array>;
  /** Indices of the best tokens of each KV head, in any order; ties go to the lower index. */
  best(kernel: ScoreKernel, request: BestRequest): Promise<readonly Int32Array[]>;
  /** Scores that stay where they are made, to be ranked among others. The caller owns them. */
  held(kernel: ScoreKernel, again?: RescoreKernel): Promise<HeldScores>;
  /** The scorer of some tokens, as if they were all. */
  part(kept: readonly Int32Array[], firstHead: number): LayerScorer;
  /** Ranks scores that it, or another scorer of its engine, holds. */
  readonly ranking: Ranking;
}

/** Scores of the KV heads that are shown of a layer, which stay on a device. */
export interface HeldScores extends Disposable {
  /** `[kvHeads, length]`. */
  readonly scores: DeviceTensor;
  /** Those of a second stage. */
  readonly rescored?: DeviceTensor;
}

/** Scores, and which tokens outrank all others whatever they score. */
export interface RankedScores {
  readonly held: HeldScores;
  /** Leading tokens. */
  readonly sinks: number;
  /** Last tokens. */
  readonly recent: number;
  /** Others, indices per KV head. */
  readonly pinned?: readonly Int32Array[] | undefined;
}

/**
 * Ranks tokens of several KV heads, of one layer or many, where their scores lie. What comes back are indices: of
 * each head, those of its tokens that stay, ascending. Ties go to the lower head and index.
 */
export interface Ranking {
  /** The best tokens of all heads together. */
  ofAll(scores: readonly RankedScores[], wanted: BestOfAll): Promise<readonly Int32Array[]>;
  /** The best tokens of each head. */
  ofEach(scores: readonly RankedScores[], wanted: BestOfEach): Promise<readonly Int32Array[]>;
}

/** Which tokens of all heads are wanted. */
export interface BestOfAll {
  /** How many. */
  readonly count: number;
  /** The best of each head that are among them in any case, at least 1. */
  readonly safe: number;
  /** Scores below which tokens are left out, but for those that outrank all others, or a head's best where it has no more. */
  readonly threshold?: number | undefined;
}

/** Which tokens of each head are wanted. */
export interface BestOfEach {
  /** How many, head by head. */
  readonly counts: readonly number[];
  /** How many of them are chosen by the first scores, where there are others. */
  readonly firstCounts?: readonly number[] | undefined;
  /** As in {@linkcode BestOfAll}. */
  readonly threshold?: number | undefined;
}

const SCORER: unique symbol = Symbol("scorer");

/** A view of a layer whose entries lie on a device. */
export interface ScorableView extends LayerView {
  readonly [SCORER]?: LayerScorer;
}

/** A view that knows what runs score kernels for it. Policies do not see it. */
export function scorable(view: LayerView, scorer: LayerScorer | undefined): LayerView {
  return Object.freeze(scorer ? { ...view, [SCORER]: scorer } : view);
}

/** What runs score kernels for a view; nothing where its entries lie in main memory. */
export function scorerOf(view: ScorableView): LayerScorer | undefined {
  return view[SCORER];
}
