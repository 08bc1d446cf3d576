/**
 * The state of a xoroshiro128+ generator for a seed: SplitMix64, as its authors advise, so that even
 * small and neighbouring seeds have nothing in common from the first draw on.
 *
 * @param seed Any integer.
 * @returns Four 32-bit integers.
 *
 * @example
 * ```ts
 * import { seededState } from "./seeded_state.ts";
 * import { assertEquals } from "@std/assert";
 *
 * // The first outputs of SplitMix64 for seed 0: e220a8397b1dcdaf, 6e789e6aa1b965f4.
 * const words = seededState(0).map((word) => (word >>> 0).toString(16));
 * assertEquals(words, ["e220a839", "7b1dcdaf", "6e789e6a", "a1b965f4"]);
 * ```
 */
export function seededState(seed: number): number[] {
  let state = BigInt(seed);
  return [0, 1].flatMap(() => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let mixed = state;
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n);
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
    mixed ^= mixed >> 31n;
    return [Number(BigInt.asIntN(32, mixed >> 32n)), Number(BigInt.asIntN(32, mixed))];
  });
}
