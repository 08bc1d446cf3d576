/** How neighbouring scores are merged. */
export type Pooling = "max" | "avg";

/** Settings of {@linkcode pool}. */
export interface PoolOptions {
  /** Tokens per window, odd. */
  readonly kernel: number;
  /** The maximum leaves the padding out; the average counts it as zeros. */
  readonly pooling: Pooling;
  /** Tokens that are pooled, from the first on; the scores of the rest stay as they are. */
  readonly end: number;
}

/**
 * One-dimensional pooling over the tokens of each head, stride 1, same length.
 *
 * @param scores `[heads × length]`; left as it is.
 * @param length Tokens per head.
 */
export function pool(
  scores: Float32Array,
  length: number,
  { kernel, pooling, end }: PoolOptions,
): Float32Array {
  const pooled = scores.slice();
  const reach = (kernel - 1) / 2;
  const merge = pooling === "max" ? maximum : sum;
  const divisor = pooling === "max" ? 1 : kernel;
  for (let start = 0; start < scores.length; start += length) {
    for (let token = 0; token < end; token++) {
      const from = start + Math.max(0, token - reach);
      const to = start + Math.min(end, token + reach + 1);
      pooled[start + token] = merge(scores, from, to) / divisor;
    }
  }
  return pooled;
}

function maximum(scores: Float32Array, from: number, to: number): number {
  let most = -Infinity;
  for (let i = from; i < to; i++) most = Math.max(most, scores[i] ?? -Infinity);
  return most;
}

function sum(scores: Float32Array, from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i++) total += scores[i] ?? 0;
  return total;
}
