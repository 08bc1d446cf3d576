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
