/** Which tokens are allowed: bit `id & 31` of word `id >>> 5`. Ids behind its end are not. */
export type TokenMask = Int32Array;

/**
 * Logits in which tokens that are not allowed cannot be drawn.
 *
 * @param logits `[vocabulary]`; not changed.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const logits = Float32Array.of(3, 2, 1);
 * assertEquals([...maskLogits(logits, Int32Array.of(0b110))], [-Infinity, 2, 1]);
 * ```
 */
export function maskLogits(logits: Float32Array, mask: TokenMask): Float32Array {
  const masked = new Float32Array(logits.length).fill(-Infinity);
  for (let word = 0; word < mask.length; word++) {
    let bits = mask[word] ?? 0;
    while (bits !== 0) {
      const bit = 31 - Math.clz32(bits & -bits);
      const id = (word << 5) + bit;
      if (id < masked.length) masked[id] = logits[id] ?? -Infinity;
      bits &= bits - 1;
    }
  }
  return masked;
}
