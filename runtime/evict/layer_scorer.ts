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
  /** The scorer of some tokens, as if they were all. */
  part(kept: readonly Int32Array[], firstHead: number): LayerScorer;
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
