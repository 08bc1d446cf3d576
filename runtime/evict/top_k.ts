/** Bits looked at per pass, from the top: three passes cover 32 bits. */
const SHIFTS = [21, 10, 0];
const DIGITS = 1 << 11;

/**
 * Indices of the `count` highest scores, ascending; ties go to the lower index.
 *
 * The threshold is found by its bits (radix selection), so the time is linear whatever the scores are.
 *
 * @param scores Any numbers but NaN.
 * @param count Integer from 0 to `scores.length`.
 *
 * @example
 * ```ts
 * import { topK } from "./top_k.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(topK(new Float32Array([2, 5, 2, 7, 2]), 3), new Int32Array([0, 1, 3]));
 * ```
 */
export function topK(scores: Float32Array, count: number): Int32Array {
  const kept = new Int32Array(count);
  const ranks = sortableBits(scores);
  const { threshold, equal } = findThreshold(ranks, count);
  let taken = 0;
  let equalTaken = 0;
  for (let index = 0; taken < count; index++) {
    const rank = ranks[index] ?? 0;
    if (rank > threshold || (rank === threshold && equalTaken++ < equal)) kept[taken++] = index;
  }
  return kept;
}

/** Unsigned integers that order as the floats do. */
function sortableBits(scores: Float32Array): Uint32Array<ArrayBuffer> {
  const floats = new Float32Array(scores.length);
  // Adding 0 turns -0 into 0, which must tie with it.
  for (let i = 0; i < floats.length; i++) floats[i] = (scores[i] ?? 0) + 0;
  const bits = new Uint32Array(floats.buffer);
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i] ?? 0;
    bits[i] = value >>> 31 === 1 ? ~value : value | 0x80000000;
  }
  return bits;
}

/** The `count`-th highest rank, and how many of that rank are among the `count` highest. */
function findThreshold(
  ranks: Uint32Array<ArrayBuffer>,
  count: number,
): { readonly threshold: number; readonly equal: number } {
  let candidates = ranks;
  let left = count;
  for (const shift of SHIFTS) {
    const histogram = new Uint32Array(DIGITS);
    for (let i = 0; i < candidates.length; i++) {
      const digit = ((candidates[i] ?? 0) >>> shift) % DIGITS;
      histogram[digit] = (histogram[digit] ?? 0) + 1;
    }
    let digit = DIGITS - 1;
    while (digit > 0 && (histogram[digit] ?? 0) < left) left -= histogram[digit--] ?? 0;
    candidates = withDigit(candidates, shift, digit, histogram[digit] ?? 0);
  }
  return { threshold: candidates[0] ?? 0xffffffff, equal: left };
}

function withDigit(
  ranks: Uint32Array,
  shift: number,
  digit: number,
  count: number,
): Uint32Array<ArrayBuffer> {
  const found = new Uint32Array(count);
  let taken = 0;
  for (let i = 0; taken < count; i++) {
    const rank = ranks[i] ?? 0;
    if ((rank >>> shift) % DIGITS === digit) found[taken++] = rank;
  }
  return found;
}
