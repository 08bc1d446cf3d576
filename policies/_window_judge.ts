import { integer } from "./_options.ts";
import { pool, type Pooling } from "./_pool.ts";
import type { LayerView } from "./policy.ts";

/** The option that says how many of the last prompt tokens judge. */
export const windowOption = integer({
  least: 1,
  default: 32,
  about: "last prompt tokens: their queries judge the others, and they are always kept",
});

/** What {@linkcode windowScores} needs to know. */
export interface WindowJudge {
  /** Last prompt tokens, whose queries are the evidence. */
  readonly window: number;
  /** Tokens that are pooled together, odd. */
  readonly kernel: number;
  readonly pooling: Pooling;
}

/**
 * The attention of the window's queries, averaged over the query heads of each group and pooled over
 * the tokens before the window, `[kvHeads × length]`.
 */
export async function windowScores(
  layer: LayerView,
  { window, kernel, pooling }: WindowJudge,
): Promise<Float32Array> {
  const end = Math.max(0, layer.length - window);
  return pool(await layer.groupAttention(), layer.length, { kernel, pooling, end });
}
