import { pool, type Pooling, poolKernel } from "./_pool.ts";
import { type Score, withKernel } from "./policy.ts";

/** The option that says how many of the last prompt tokens judge. */
export const windowOption = {
  kind: "integer",
  min: 1,
  default: 32,
  about: "last prompt tokens: their queries judge the others, and they are always kept",
} as const;

/** What {@linkcode windowScore} needs to know. */
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
export function windowScore({ window, kernel, pooling }: WindowJudge): Score {
  const pooled = (length: number) => ({ kernel, pooling, end: Math.max(0, length - window) });
  return withKernel(
    async (layer) => pool(await layer.groupAttention(), layer.length, pooled(layer.length)),
    (layer) => poolKernel(layer, layer.groupAttention(), { kernel, pooling, spared: window }),
  );
}
