import { requireInteger } from "./cache_checks.ts";
import { mostTokens } from "./sliding_layer.ts";

/** Which layers of a cache slide, and what they keep beside their windows. */
export interface CacheWindows {
  /**
   * Window of each layer: tokens that a query sees at most, itself among them, so that the layer shows
   * one entry fewer. `undefined` for a global layer.
   *
   * @default {every layer is global}
   */
  readonly windows?: readonly (number | undefined)[] | undefined;
  /**
   * Entries that sliding layers keep beside those that they show, so that as many tokens can be rolled
   * back without a {@linkcode BaseKvCache.hold}.
   *
   * @default {128}
   */
  readonly slack?: number | undefined;
}

/** Entries that a sliding layer keeps beside those that it shows. */
export const DEFAULT_SLACK = 128;

/**
 * Refuses windows that a cache cannot have.
 *
 * @throws {RangeError} If a window or the slack is not a size, or there is not one for each layer.
 */
export function checkWindows({ windows, slack }: CacheWindows, layers: number): void {
  if (windows && windows.length !== layers) {
    throw new RangeError(
      `Cannot use 'windows' for a KV cache: there must be one for each of ${layers} layers, got ` +
        `${windows.length}`,
    );
  }
  for (const window of windows ?? []) {
    if (window !== undefined) requireInteger("windows", window, 1);
  }
  if (slack !== undefined) requireInteger("slack", slack, 0);
}

/** Most tokens that a sliding layer takes memory for, whatever it is given; what is held for marks comes on top. */
export function mostSliding(
  { window, slack = DEFAULT_SLACK }: { readonly window: number; readonly slack?: number },
): number {
  return mostTokens({ window, slack });
}
