/** Sizes of a KV cache that decide what a token costs. */
export interface CacheShape {
  /** Layers of the model. */
  readonly layers: number;
  /** KV heads. */
  readonly kvHeads: number;
  /** Head size. */
  readonly headDim: number;
  /** Bytes of a number: 2 for 16-bit floats. @default {4} */
  readonly numberBytes?: number;
}

/** Sizes of a model's cache as budgets see it. */
export interface BudgetShape extends CacheShape {
  /** Global layers: those that keep what they are not told to drop, and are evicted. */
  readonly layers: number;
  /** Most tokens that each of the other layers, which slide, takes memory for. @default {none slide} */
  readonly sliding?: readonly number[];
}

/** Bytes that the sliding layers take when so many tokens were read. */
export function slidingBytes({ sliding = [], ...shape }: BudgetShape, length: number): number {
  const tokens = sliding.reduce((sum, most) => sum + Math.min(most, length), 0);
  return tokens * bytesPerToken({ ...shape, layers: 1 });
}

/**
 * Bytes that one token takes in all layers and KV heads: a key, a value and a position each.
 *
 * @example
 * ```ts
 * import { bytesPerToken } from "./bytes_per_token.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(bytesPerToken({ layers: 2, kvHeads: 3, headDim: 4 }), 2 * 3 * (4 + 4 + 1) * 4);
 * ```
 */
export function bytesPerToken(
  { layers, kvHeads, headDim, numberBytes = Float32Array.BYTES_PER_ELEMENT }: CacheShape,
): number {
  return layers * kvHeads * (2 * headDim * numberBytes + Int32Array.BYTES_PER_ELEMENT);
}
