import type { LayerView, Score } from "../../policies/policy.ts";
import { scorerOf } from "./layer_scorer.ts";

/** A score that puts pinned tokens above all others. */
export interface PinnedScore extends Score {
  /** Indices of these tokens, per KV head. Scores of the function are raised already. */
  readonly pinned?: (view: LayerView) => readonly Int32Array[];
}

/** Scores of what is shown of a layer, computed where it lies if the score has a kernel. */
export async function scoreView(score: PinnedScore, view: LayerView): Promise<Float32Array> {
  const scorer = scorerOf(view);
  if (!scorer || !score.kernel) return await score(view);
  const scores = await scorer.scores(score.kernel);
  return score.pinned ? raised(scores, score.pinned(view), view.length) : scores;
}

/** Scores with `Infinity` in the place of pinned tokens. */
export function raised(
  scores: Float32Array,
  pinned: readonly Int32Array[],
  length: number,
): Float32Array {
  const changed = scores.slice();
  for (const [head, indices] of pinned.entries()) {
    for (const index of indices) changed[head * length + index] = Infinity;
  }
  return changed;
}
