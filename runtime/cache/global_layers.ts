import type { KvCache } from "./kv_cache.ts";

/** Layers of a cache that keep what they are not told to drop: all but those that slide. */
export function globalLayersOf(cache: Pick<KvCache, "layers" | "window">): readonly number[] {
  return Array.from({ length: cache.layers }, (_, layer) => layer)
    .filter((layer) => cache.window(layer) === undefined);
}

/** Tokens that the layer holds that holds most. */
export function mostHeld(cache: Pick<KvCache, "layers" | "length">): number {
  let most = 0;
  for (let layer = 0; layer < cache.layers; layer++) most = Math.max(most, cache.length(layer));
  return most;
}
