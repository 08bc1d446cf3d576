import { createPrng } from "../../../policies/_random.ts";

/** Draws what samples are made of; the same seeds draw the same. */
export interface Draw {
  /** An integer from `least` to `most`, both possible. */
  integer(min: number, max: number): number;
  /** `count` different values, in any order; all of them if there are fewer. */
  sample<T>(values: readonly T[], count: number): T[];
  /** `count` different integers from 0 up to, not including, `end`. */
  indices(end: number, count: number): number[];
  /** All values in another order. */
  shuffle<T>(values: readonly T[]): T[];
  /** Letters from `a` to `z`. */
  letters(count: number): string;
  /** A random (version 4) UUID. */
  uuid(): string;
}

/**
 * Opens a draw. Texts among the seeds keep the draws of tasks apart.
 *
 * @example
 * ```ts
 * import { createDraw } from "./draw.ts";
 * import { assertEquals, assertNotEquals } from "@std/assert";
 *
 * assertEquals(createDraw("a task", 7).letters(8), createDraw("a task", 7).letters(8));
 * assertNotEquals(createDraw("a task", 7).letters(8), createDraw("a task", 8).letters(8));
 * ```
 */
export function createDraw(...seeds: readonly (number | string)[]): Draw {
  const next = createPrng(...seeds.flatMap(wordsOf));
  const integer = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  const indices = (end: number, count: number) => {
    // Partial Fisher-Yates over a list that holds only what was moved.
    const moved = new Map<number, number>();
    return Array.from({ length: Math.min(end, count) }, (_, at) => {
      const other = integer(at, end - 1);
      const value = moved.get(other) ?? other;
      moved.set(other, moved.get(at) ?? at);
      return value;
    });
  };
  const sample = <T>(values: readonly T[], count: number) =>
    indices(values.length, count).flatMap((at) => values.slice(at, at + 1));
  const hex = (count: number) =>
    Array.from({ length: count }, () => integer(0, 15).toString(16)).join("");
  return {
    integer,
    indices,
    sample,
    shuffle: (values) => sample(values, values.length),
    letters: (count) =>
      Array.from({ length: count }, () => String.fromCharCode(97 + integer(0, 25))).join(""),
    uuid: () =>
      `${hex(8)}-${hex(4)}-4${hex(3)}-${"89ab"[integer(0, 3)] ?? "8"}${hex(3)}-${hex(12)}`,
  };
}

/** 32-bit words that stand for a seed: all of a number's 53 bits count, and its sign. */
function wordsOf(seed: number | string): readonly number[] {
  if (typeof seed === "number") return [seed | 0, Math.floor(seed / 2 ** 32) | 0];
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(seed)) hash = Math.imul(hash ^ byte, 0x01000193);
  return [hash];
}
