/**
 * The lowest level at which what is filled to it sums to a total, or the highest number where none does.
 *
 * @param sumAt What all hold at a level; never falls as that rises.
 */
export function levelFor(total: number, sumAt: (level: number) => number): number {
  let [low, high] = [0, 1];
  while (sumAt(high) < total && high < Number.MAX_VALUE) high *= 2;
  for (let round = 0; round < 100; round++) {
    const middle = (low + high) / 2;
    if (sumAt(middle) < total) low = middle;
    else high = middle;
  }
  return high;
}
