import { levelFor } from "./_level.ts";

/** What a head is to get. */
export interface WantedShare {
  /** Tokens that it should have, a real number. */
  readonly ideal: number;
  /** Fewest and most that it may have, integers. */
  readonly least: number;
  readonly most: number;
}

/**
 * Turns what heads should have into integers that come to a total: all ideals are scaled alike until they fit
 * within their bounds, then cut to integers; what is left goes to the largest fractions, of equal ones to
 * the first.
 *
 * @param total From the sum of what is least to that of what is most.
 */
export function exactShares(total: number, wanted: readonly WantedShare[]): number[] {
  const real = realShares(total, wanted);
  const counts = real.map((share) => Math.floor(share + SLACK));
  const left = total - counts.reduce((sum, count) => sum + count, 0);
  const byFraction = [...real.keys()].sort((a, b) =>
    fraction(real[b]) - fraction(real[a]) || a - b
  );
  for (const head of byFraction.slice(0, Math.max(0, left))) counts[head] = (counts[head] ?? 0) + 1;
  return counts;
}

/** A whole number that was rounded to just below itself stays whole. */
const SLACK = 1e-6;

function realShares(total: number, wanted: readonly WantedShare[]): readonly number[] {
  const sharesAt = (level: number) =>
    wanted.map(({ ideal, least, most }) => Math.min(most, Math.max(least, ideal * level)));
  const sumAt = (level: number) => sharesAt(level).reduce((sum, share) => sum + share, 0);
  if (Math.abs(sumAt(1) - total) < SLACK) return sharesAt(1);
  return sharesAt(levelFor(total, sumAt));
}

function fraction(share = 0): number {
  return share + SLACK - Math.floor(share + SLACK);
}
