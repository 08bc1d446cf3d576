import { type Estimate, estimate } from "./statistics.ts";

/** Scores of the same sample on two sides. */
export type ScorePair = readonly [first: number, second: number];

/** How two sides differ over samples that both have. */
export interface PairedDifference {
  /** Means of both sides; NaN for no pairs. */
  readonly scores: readonly [first: number, second: number];
  /** Mean of the first side's score less the second's, with its interval. */
  readonly difference: Estimate;
  /** Samples where the first side's score is higher, as high, lower. */
  readonly outcomes: readonly [wins: number, ties: number, losses: number];
}

/**
 * Compares two sides sample by sample. The 95 % interval is a paired bootstrap's: samples are
 * redrawn with replacement, and both sides' scores of a sample stay together, so that what makes a
 * sample hard for both does not widen it.
 *
 * @param seed The same seed gives the same interval.
 *
 * @example
 * ```ts
 * import { pairedDifference } from "./paired.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { difference, outcomes } = pairedDifference([[1, 0], [0.5, 0.5], [1, 0]], 0);
 * assertEquals(difference.mean, 2 / 3);
 * assertEquals(outcomes, [2, 1, 0]);
 * ```
 */
export function pairedDifference(pairs: readonly ScorePair[], seed: number): PairedDifference {
  const mean = (side: 0 | 1) => pairs.reduce((sum, pair) => sum + pair[side], 0) / pairs.length;
  const differences = pairs.map(([first, second]) => first - second);
  const count = (sign: number) => differences.filter((one) => Math.sign(one) === sign).length;
  return {
    scores: [mean(0), mean(1)],
    difference: estimate(differences, seed),
    outcomes: [count(1), count(0), count(-1)],
  };
}
