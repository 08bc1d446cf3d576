import { assert } from "@std/assert";

/** How far numbers may lie apart: `|actual - expected| <= absolute + relative · |expected|`. */
export interface Tolerance {
  /** @default {0} */
  readonly absolute?: number;
  /** @default {0} */
  readonly relative?: number;
}

/** Asserts that two arrays are as long and as good as equal; names the worst place if not. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { absolute = 0, relative = 0 }: Tolerance,
  what = "arrays",
): void {
  assert(
    actual.length === expected.length,
    `${what}: ${actual.length} numbers, expected ${expected.length}`,
  );
  let [worst, excess] = [-1, 0];
  for (let i = 0; i < actual.length; i++) {
    const [a, e] = [actual[i] ?? NaN, expected[i] ?? NaN];
    const over = a === e ? 0 : Math.abs(a - e) - absolute - relative * Math.abs(e);
    if (!(over <= excess)) [worst, excess] = [i, Number.isNaN(over) ? Infinity : over];
  }
  assert(worst < 0, `${what} [${worst}]: ${actual[worst]}, expected ${expected[worst]}`);
}

/** Largest difference between two arrays. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = Math.abs((a[i] ?? NaN) - (b[i] ?? NaN));
    if (Number.isNaN(difference)) return NaN;
    largest = Math.max(largest, difference);
  }
  return largest;
}

/** Numbers from -1 to 1 that look random; the same seed gives the same ones. */
export function noise(length: number, seed: number): Float32Array {
  let state = (Math.imul(seed, 2654435761) ^ 0x9e3779b9) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  });
}
