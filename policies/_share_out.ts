import { levelFor } from "./_level.ts";

/**
 * Divides a total in proportion to weights, no share above `max` nor below 1; what does not fit goes
 * to the others. Shares are rounded so that the first ones, summed, are what they come to: the total
 * is exact.
 *
 * @param total From the number of weights to that number times `max`.
 */
export function shareOut(total: number, weights: readonly number[], max: number): number[] {
  const shares = realShares(total, weights, max);
  let [sum, given] = [0, 0];
  return shares.map((share) => {
    sum += share;
    const rounded = Math.round(sum) - given;
    given += rounded;
    return rounded;
  });
}

/** Raises the level until every share is within its bounds. */
function realShares(total: number, weights: readonly number[], max: number): number[] {
  const sumAt = (level: number) =>
    weights.reduce((sum, weight) => sum + clamp(weight * level, max), 0);
  const level = levelFor(total, sumAt);
  return weights.map((weight) => clamp(weight * level, max));
}

function clamp(share: number, max: number): number {
  return Math.min(max, Math.max(1, share));
}
