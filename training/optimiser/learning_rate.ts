import { TrainingError } from "../errors.ts";

/** Options of {@linkcode learningRate}. */
export interface LearningRateOptions {
  /** Highest rate, reached at the end of the warm-up. */
  readonly peak: number;
  /** Steps of linear rise. @default {0} */
  readonly warmup?: number;
  /** All steps, the warm-up included. */
  readonly steps: number;
  /** Rate that the decay ends at, after the last step. @default {0} */
  readonly floor?: number;
}

/**
 * Makes a schedule: a linear rise to `peak`, then half a cosine down to `floor`.
 *
 * @returns The rate of a step, counted from 0. The rise starts above 0, at `peak / warmup`, the first
 * step after it runs at `peak`; from `steps` on the rate is `floor`.
 * @throws {TrainingError} If an option is out of range.
 *
 * @example
 * ```ts
 * import { learningRate } from "./learning_rate.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const rate = learningRate({ peak: 0.1, warmup: 2, steps: 6 });
 * assertEquals([0, 1, 2, 4, 6].map(rate), [0.05, 0.1, 0.1, 0.05, 0]);
 * ```
 */
export function learningRate(
  { peak, warmup = 0, steps, floor = 0 }: LearningRateOptions,
): (step: number) => number {
  const demand = (name: string, value: number, bound: string, holds: boolean) => {
    if (!holds) {
      throw new TrainingError(
        `Cannot plan the learning rate: ${name} must be ${bound}, got ${value}`,
      );
    }
  };
  demand("the rate", peak, "above 0", peak > 0 && Number.isFinite(peak));
  demand("steps", steps, "an integer from 1", Number.isInteger(steps) && steps >= 1);
  const fits = Number.isInteger(warmup) && warmup >= 0 && warmup <= steps;
  demand("warmup", warmup, `an integer from 0 to ${steps}, the number of steps`, fits);
  demand("floor", floor, `from 0 to ${peak}, the highest rate`, floor >= 0 && floor <= peak);
  return (step) => {
    if (step >= steps) return floor;
    if (step < warmup) return peak * (step + 1) / warmup;
    const done = (step - warmup) / (steps - warmup);
    return floor + (peak - floor) * (1 + Math.cos(Math.PI * done)) / 2;
  };
}
