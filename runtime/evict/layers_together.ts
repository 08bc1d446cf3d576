import type { KvCache } from "../cache/kv_cache.ts";

/** Layers that a device works on in one run: more would wait less, and take more of its memory. */
const LAYERS_TOGETHER = 8;

/**
 * Does work for layers, in their order: a few at a time where a device does it, which is then waited for
 * once; one by one in main memory, where that keeps the peak lowest. What runs together ends before a
 * failure is passed on, because it uses what the caller then frees.
 *
 * @param there Whether the device does it. @default {whether the cache lies on one}
 */
export async function forLayers<Layer, Result>(
  { home }: Pick<KvCache, "home">,
  layers: readonly Layer[],
  work: (layer: Layer) => Result | Promise<Result>,
  there = true,
): Promise<Result[]> {
  const size = home === "device" && there ? LAYERS_TOGETHER : 1;
  const results: Result[] = [];
  for (let from = 0; from < layers.length; from += size) {
    const group = layers.slice(from, from + size).map(async (layer) => await work(layer));
    for (const settled of await Promise.allSettled(group)) {
      if (settled.status === "rejected") throw settled.reason;
      results.push(settled.value);
    }
  }
  return results;
}
