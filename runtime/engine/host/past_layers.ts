import type { PastLayer } from "../../../kernels/step.ts";
import type { HostKvCache } from "../../cache/kv_cache.ts";

/**
 * Where a step writes new entries: into room that is made behind those of the cache, into room that is left
 * there, if it is enough, or elsewhere.
 */
export type Writing = "made room" | "left room" | "elsewhere";

/** The layers of a cache as a step of so many tokens reads them. */
export function pastLayers(cache: HostKvCache, tokens: number, writing: Writing): PastLayer[] {
  return Array.from({ length: cache.layers }, (_, layer) => {
    const found = cache.slots(layer, writing === "made room" ? tokens : 0);
    if (!found) {
      const [keys, values] = [cache.keys(layer), cache.values(layer)];
      return { keys, values, segments: cache.segments(layer) };
    }
    const { keys, values, held, slots } = found;
    const left = writing === "left room" && slots - held >= tokens;
    return { keys, values, held, writable: found.writable || left };
  });
}
