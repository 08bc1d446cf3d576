import type { CacheShape } from "./bytes_per_token.ts";
import { hostCacheOver } from "./host_cache.ts";
import type { HeadEntries, HostKvCache, KvCache } from "./kv_cache.ts";
import { createStore, entryAt, segmented } from "./host_layer.ts";

/** Where {@linkcode fillHostCache} wants the entries of a layer. */
export interface LayerSpace {
  /** `[length, kvHeads, headDim]`, or `[entries, headDim]` of one head after the other. */
  readonly keys: Float32Array;
  /** Like the keys. */
  readonly values: Float32Array;
}

/**
 * Makes a cache of entries that come from elsewhere, such as a file, without a second copy of them.
 *
 * @param lengths Tokens of each KV head, `[layer][KV head]`.
 * @param fill Writes the keys and values of a layer and returns its positions, `[kvHeads, length]`, or
 * those of one head after the other.
 */
export function fillHostCache(
  shape: CacheShape,
  lengths: readonly (readonly number[])[],
  fill: (layer: number, space: LayerSpace) => Int32Array,
): HostKvCache {
  const { kvHeads, headDim } = shape;
  const store = lengths.map((heads) => {
    const [first = 0] = heads;
    return heads.every((length) => length === first)
      ? createStore(first, shape)
      : segmented(heads, shape);
  });
  const cache = hostCacheOver(shape, store);
  try {
    for (const [index, layer] of store.entries()) {
      layer.lengths = [...lengths[index] ?? []];
      const numbers = headDim * layer.lengths.reduce((sum, length) => sum + length, 0);
      const positions = fill(index, {
        keys: layer.keys.subarray(0, numbers),
        values: layer.values.subarray(0, numbers),
      });
      let from = 0;
      for (const [head, length] of layer.lengths.entries()) {
        for (let token = 0; token < length; token++) {
          layer.positions[entryAt(layer, kvHeads, head, token)] = positions[from++] ?? 0;
        }
      }
    }
    return cache;
  } catch (error) {
    cache[Symbol.dispose]();
    throw error;
  }
}

/** A copy in main memory, of a cache that may be on a device. */
export async function hostCopy(cache: KvCache): Promise<HostKvCache> {
  const { layers, kvHeads, headDim } = cache;
  const held: (readonly HeadEntries[])[] = [];
  for (let layer = 0; layer < layers; layer++) held.push(await cache.entries(layer));
  const lengths = held.map((heads) => heads.map(({ positions }) => positions.length));
  return fillHostCache({ layers, kvHeads, headDim }, lengths, (layer, { keys, values }) => {
    const heads = held[layer] ?? [];
    const alike = heads.every(({ keys }) => keys.length === heads[0]?.keys.length);
    let from = 0;
    for (const [head, entries] of heads.entries()) {
      const length = entries.positions.length;
      for (let token = 0; token < length; token++) {
        const to = (alike ? token * kvHeads + head : from + token) * headDim;
        const [start, end] = [token * headDim, (token + 1) * headDim];
        keys.set(entries.keys.subarray(start, end), to);
        values.set(entries.values.subarray(start, end), to);
      }
      from += length;
    }
    return Int32Array.from(heads.flatMap(({ positions }) => Array.from(positions)));
  });
}
