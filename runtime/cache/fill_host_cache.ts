import type { CacheShape } from "./bytes_per_token.ts";
import { hostCacheOver } from "./host_cache.ts";
import type { HeadEntries, HostKvCache, KvCache } from "./kv_cache.ts";
import { appendToStore, createStore, entryAt, type HostLayer, segmented } from "./host_layer.ts";
import { fillSliding, type SlidingLayer } from "./sliding_layer.ts";
import { type CacheWindows, checkWindows, DEFAULT_SLACK } from "./windows.ts";

/** Where {@linkcode fillHostCache} wants the entries of a layer. */
export interface LayerSpace {
  /** `[length, kvHeads, headDim]`, or `[entries, headDim]` of one head after the other. */
  readonly keys: Float32Array;
  /** Like the keys. */
  readonly values: Float32Array;
}

/** What {@linkcode fillHostCache} makes. */
export interface FilledShape extends CacheShape, CacheWindows {
  /**
   * Tokens that sliding layers were given, those that they hold no more included: what they can be
   * rolled back to follows from it.
   *
   * @default {more than they hold, where their windows are full}
   */
  readonly given?: readonly number[];
}

/**
 * Makes a cache of entries that come from elsewhere, such as a file, without a second copy of them.
 *
 * @param lengths Tokens of each KV head, `[layer][KV head]`. Of a sliding layer these may be more than
 * it shows: its last ones, with those before its window that rollbacks may want.
 * @param fill Writes the keys and values of a layer and returns its positions, `[kvHeads, length]`, or
 * those of one head after the other.
 * @throws {RangeError} If a window is no size, or the KV heads of a sliding layer differ in length.
 */
export function fillHostCache(
  shape: FilledShape,
  lengths: readonly (readonly number[])[],
  fill: (layer: number, space: LayerSpace) => Int32Array,
): HostKvCache {
  const { kvHeads, headDim, windows, slack = DEFAULT_SLACK, given } = shape;
  checkWindows(shape, lengths.length);
  const store = lengths.map((heads, index) => {
    const [first = 0] = heads;
    const alike = heads.every((length) => length === first);
    const window = windows?.[index];
    if (window === undefined) return alike ? createStore(first, shape) : segmented(heads, shape);
    if (alike) return fillSliding({ window, slack }, first, given?.[index], shape);
    throw new RangeError(
      `Cannot fill layer ${index} of a KV cache: it slides, its KV heads must hold the same tokens, ` +
        `they hold ${heads.join(", ")}`,
    );
  });
  const cache = hostCacheOver(shape, store);
  try {
    for (const [index, layer] of store.entries()) {
      const heads = lengths[index] ?? [];
      const numbers = headDim * heads.reduce((sum, length) => sum + length, 0);
      // Token-major entries of several heads go to their segments from an array of their own.
      const apart = "slots" in layer && layer.slots !== undefined && kvHeads > 1;
      const space = apart
        ? { keys: new Float32Array(numbers), values: new Float32Array(numbers) }
        : { keys: layer.keys.subarray(0, numbers), values: layer.values.subarray(0, numbers) };
      const positions = fill(index, space);
      if (apart) appendToStore(layer, space.keys, space.values, 0, shape);
      place(layer, positions, heads);
    }
    return cache;
  } catch (error) {
    cache[Symbol.dispose]();
    throw error;
  }
}

function place(
  layer: HostLayer | SlidingLayer,
  positions: Int32Array,
  lengths: readonly number[],
): void {
  if ("window" in layer) {
    layer.positions.set(positions.subarray(0, lengths[0]));
    return;
  }
  layer.lengths = [...lengths];
  let from = 0;
  for (const [head, length] of lengths.entries()) {
    for (let token = 0; token < length; token++) {
      layer.positions[entryAt(layer, head, token)] = positions[from++] ?? 0;
    }
  }
}

/** A copy in main memory, of a cache that may be on a device. What is held for marks stays behind. */
export async function hostCopy(cache: KvCache): Promise<HostKvCache> {
  const { layers, kvHeads, headDim } = cache;
  const all = Array.from({ length: layers }, (_, layer) => layer);
  const held: (readonly HeadEntries[])[] = [];
  for (const layer of all) held.push(await cache.entries(layer, true));
  const lengths = held.map((heads) => heads.map(({ positions }) => positions.length));
  const shape = {
    ...{ layers, kvHeads, headDim, given: cache.mark().lengths },
    windows: all.map((layer) => cache.window(layer)),
  };
  return fillHostCache(shape, lengths, (layer, { keys, values }) => {
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
