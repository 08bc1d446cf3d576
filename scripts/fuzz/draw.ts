import { xoroshiro128plusFromState } from "npm:pure-rand@8.4.2/generator/xoroshiro128plus";

/** Random choices that a seed decides. */
export interface Draw {
  /** A whole number from 0 to `below - 1`; 0 if `below` is below 1. */
  below(below: number): number;
  /** One of several. */
  pick<T>(from: readonly [T, ...T[]]): T;
  /** A whole number, small ones far more often than large ones. */
  small(below: number): number;
}

/** The choices of one case. */
export function drawOf(seed: number, target: string, index: number): Draw {
  let mixed = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35);
  for (const character of target) mixed = Math.imul(mixed ^ character.charCodeAt(0), 0x01000193);
  const random = xoroshiro128plusFromState([mixed | 1, ~mixed, mixed ^ seed, index + 1]);
  for (let i = 0; i < 8; i++) random.next();
  const below = (limit: number) =>
    limit < 1 ? 0 : Math.floor((random.next() >>> 0) / 2 ** 32 * limit);
  return {
    below,
    pick: (from) => from[below(from.length)] ?? from[0],
    small: (limit) => below(Math.min(limit, 2 ** below(Math.log2(Math.max(2, limit)) + 2))),
  };
}
