import { createPrng } from "../policies/_random.ts";

/** A lower and an upper bound. */
export type Interval = readonly [number, number];

/** The mean of some values, and how far it may be trusted. */
export interface Estimate {
  /** Arithmetic mean; `null` if there are no values, as JSON has no NaN. */
  readonly mean: number | null;
  /** 95 % interval of the mean over the values; `null` if there are fewer than two. */
  readonly interval: Interval | null;
  /** Number of values. */
  readonly n: number;
}

/** Times that the values are redrawn. */
const RESAMPLES = 2000;

/** Normal quantile of a two-sided 95 % interval. */
const QUANTILE = 1.959963984540054;

/** Arithmetic mean; NaN for no values. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * The mean with a 95 % percentile bootstrap interval: the values are redrawn with replacement,
 * always in the same way for the same seed.
 *
 * @example
 * ```ts
 * import { estimate } from "./statistics.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(estimate([2, 2, 2], 0), { mean: 2, interval: [2, 2], n: 3 });
 * assertEquals(estimate([], 0), { mean: null, interval: null, n: 0 });
 * ```
 */
export function estimate(values: readonly number[], seed: number): Estimate {
  const n = values.length;
  if (n === 0) return { mean: null, interval: null, n };
  return { mean: mean(values), interval: n < 2 ? null : bootstrap(values, seed), n };
}

/**
 * As {@linkcode estimate}, for values from 0 to 1: where all are 0, or all 1, drawing them again finds
 * nothing else, and the interval is {@linkcode wilson}'s.
 *
 * @example
 * ```ts
 * import { shareEstimate, wilson } from "./statistics.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(shareEstimate([0, 0, 0], 0), { mean: 0, interval: wilson(0, 3), n: 3 });
 * ```
 */
export function shareEstimate(values: readonly number[], seed: number): Estimate {
  const { mean, interval, n } = estimate(values, seed);
  const same = interval !== null &&
    (values.every((one) => one === 0) || values.every((one) => one === 1));
  return { mean, interval: same ? wilson(n * (mean ?? 0), n) : interval, n };
}

function bootstrap(values: readonly number[], seed: number): Interval {
  const { length } = values;
  const next = createPrng(seed, length);
  const means = Float64Array.from({ length: RESAMPLES }, () => {
    let sum = 0;
    for (let draw = 0; draw < length; draw++) sum += values[Math.floor(next() * length)] ?? 0;
    return sum / length;
  }).sort();
  const at = (share: number) => means[Math.round(share * (RESAMPLES - 1))] ?? NaN;
  return [at(0.025), at(0.975)];
}

/**
 * 95 % interval of a share of successes (Wilson's score interval), from 0 to 1.
 *
 * @example
 * ```ts
 * import { wilson } from "./statistics.ts";
 * import { assertAlmostEquals } from "@std/assert";
 *
 * const [low, high] = wilson(5, 10);
 * assertAlmostEquals(low, 0.2366, 1e-4);
 * assertAlmostEquals(high, 0.7634, 1e-4);
 * ```
 */
export function wilson(successes: number, total: number): Interval {
  if (total === 0) return [0, 1];
  const share = successes / total;
  const square = QUANTILE ** 2;
  const centre = (share + square / (2 * total)) / (1 + square / total);
  const reach = (QUANTILE / (1 + square / total)) *
    Math.sqrt(share * (1 - share) / total + square / (4 * total ** 2));
  // At the ends the bounds are exact, which rounding would spoil.
  return [successes === 0 ? 0 : centre - reach, successes === total ? 1 : centre + reach];
}
