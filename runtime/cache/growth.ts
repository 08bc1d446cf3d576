/**
 * How layers grow that nothing was reserved for: by shares of what they have, so that an answer of any
 * length moves each entry a bounded number of times.
 *
 * @module
 */

/** Smallest capacity that growth makes, in tokens: below it, nearly every token would move the layer. */
export const FIRST_CAPACITY = 16;

/** Share of its capacity that a layer grows by. */
export const GROWTH = {
  /**
   * Each head moves to its new place, so that what is added lies in memory though nothing fills it: half
   * a long prompt's cache would be too much for an answer.
   */
  host: 1 / 8,
  /** Growing holds a layer twice for a moment and waits for the device, so that it is rarer. */
  device: 1 / 4,
  /** A window bounds what a sliding layer takes, however fast it gets there. */
  sliding: 1 / 2,
} as const;

/**
 * The capacity behind the next growth, in tokens.
 *
 * @param capacity What the layer has.
 * @param share As in {@linkcode GROWTH}.
 * @param least Fewest tokens that are added to a layer that has twice as many.
 */
export function grownCapacity(capacity: number, share: number, least = 0): number {
  const more = Math.max(Math.ceil(capacity * share), Math.min(least, Math.ceil(capacity / 2)));
  return Math.max(FIRST_CAPACITY, capacity + more);
}
