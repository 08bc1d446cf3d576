import { bytesPerToken, type CacheShape } from "./bytes_per_token.ts";
import { checkKept, checkMark, requireInteger } from "./cache_checks.ts";
import type { HeadEntries, HostKvCache, KvCache } from "./kv_cache.ts";
import {
  appendToStore,
  compactStore,
  copyStore,
  createStore,
  entryAt,
  type HostLayer,
  releaseStore,
  reserveStore,
} from "./host_layer.ts";
import { layerList, lengthsAt, longest } from "./layer_list.ts";
import { rerotateKey } from "../rotary/rerotate_key.ts";

/** Settings of {@linkcode createHostCache}. */
export interface HostCacheOptions extends CacheShape {
  /**
   * Tokens per layer to make room for.
   *
   * @default {0}
   */
  readonly capacity?: number;
}

/**
 * A KV cache in main memory: 32-bit floats and, per KV head, 32-bit positions.
 *
 * Memory grows in place and goes back to the system when tokens are dropped by
 * {@linkcode HostKvCache.compact} or by disposal, without waiting for the garbage collector and without a
 * second copy. Views that were handed out before are then empty.
 *
 * @throws {RangeError} If a size is not a positive integer, or an argument does not fit the cache.
 * @throws {KvjudgeError} If the cache is used after its disposal.
 *
 * @example
 * ```ts
 * import { createHostCache } from "./host_cache.ts";
 * import { assertEquals } from "@std/assert";
 *
 * using cache = createHostCache({ layers: 1, kvHeads: 1, headDim: 2 });
 * cache.append(0, new Float32Array([1, 2, 3, 4]), new Float32Array(4), 0);
 * cache.compact(0, [new Int32Array([1])]);
 * assertEquals(cache.keys(0), new Float32Array([3, 4]));
 * assertEquals(cache.positions(0), new Int32Array([1]));
 * ```
 */
export function createHostCache(options: HostCacheOptions): HostKvCache {
  const { layers, kvHeads, headDim, capacity = 0 } = options;
  requireInteger("layers", layers, 1);
  requireInteger("kvHeads", kvHeads, 1);
  requireInteger("headDim", headDim, 1);
  requireInteger("capacity", capacity, 0);
  const shape = { layers, kvHeads, headDim };
  return hostCacheOver(shape, Array.from({ length: layers }, () => createStore(capacity, shape)));
}

/** A cache over layers that are filled already, or will be. It owns them. */
export function hostCacheOver(shape: CacheShape, store: readonly HostLayer[]): HostKvCache {
  const { layers, kvHeads, headDim } = shape;
  const row = kvHeads * headDim;
  const tokenBytes = bytesPerToken({ ...shape, layers: 1 });
  const held = layerList(store, releaseStore);

  function view(layer: HostLayer, name: "keys" | "values"): Float32Array {
    const entries = layer.starts ? layer.entries : longest(layer) * kvHeads;
    return layer[name].subarray(0, entries * headDim);
  }

  function head(index: number, kvHead: number): HeadEntries {
    const layer = held.at(index);
    const length = layer.lengths[kvHead];
    if (length === undefined) {
      throw new RangeError(
        `Cannot reach KV head ${kvHead} of the KV cache: it has heads 0 to ${kvHeads - 1}`,
      );
    }
    const keys = new Float32Array(length * headDim);
    const values = new Float32Array(length * headDim);
    const positions = new Int32Array(length);
    for (let token = 0; token < length; token++) {
      const entry = entryAt(layer, kvHeads, kvHead, token);
      const [start, end] = [entry * headDim, (entry + 1) * headDim];
      keys.set(layer.keys.subarray(start, end), token * headDim);
      values.set(layer.values.subarray(start, end), token * headDim);
      positions[token] = layer.positions[entry] ?? 0;
    }
    return { keys, values, positions };
  }

  return {
    home: "host",
    layers,
    kvHeads,
    headDim,

    get bytes() {
      return store.reduce((sum, { entries }) => sum + entries, 0) * tokenBytes / kvHeads;
    },

    length: (layer) => longest(held.at(layer)),

    lengths: (layer) => [...held.at(layer).lengths],

    segments(layer) {
      const { starts, lengths } = held.at(layer);
      return starts?.map((start, head) => ({ start, length: lengths[head] ?? 0 }));
    },

    head,

    entries: (index) => held.at(index).lengths.map((_, kvHead) => head(index, kvHead)),

    reserve(tokens) {
      requireInteger("tokens", tokens, 0);
      for (const layer of held.all()) reserveStore(layer, tokens, shape);
    },

    append(index, keys, values, position) {
      const layer = held.at(index);
      if (!Number.isInteger(keys.length / row) || values.length !== keys.length) {
        throw new RangeError(
          `Cannot append to the KV cache: keys and values must both be whole rows of ${row} ` +
            `numbers, they have ${keys.length} and ${values.length}`,
        );
      }
      requireInteger("position", position, 0);
      appendToStore(layer, keys, values, position, shape);
    },

    keys: (index) => view(held.at(index), "keys"),

    values: (index) => view(held.at(index), "values"),

    positions(index) {
      const layer = held.at(index);
      return Int32Array.from(layer.lengths.flatMap((length, head) =>
        Array.from(
          { length },
          (_, token) => layer.positions[entryAt(layer, kvHeads, head, token)] ?? 0,
        )
      ));
    },

    compact(index, kept) {
      const layer = held.at(index);
      checkKept(kept, kvHeads, layer.lengths);
      compactStore(layer, kept, shape);
    },

    rerotate(index, { frequencies, to }) {
      const layer = held.at(index);
      for (const [kvHead, positions] of to.entries()) {
        for (const [token, position] of positions.entries()) {
          const entry = entryAt(layer, kvHeads, kvHead, token);
          const key = layer.keys.subarray(entry * headDim, (entry + 1) * headDim);
          rerotateKey(key, frequencies, layer.positions[entry] ?? 0, position);
          layer.positions[entry] = position;
        }
      }
    },

    rollback: (mark) => held.rollback(mark),

    mark: () => held.mark(),

    fork(mark) {
      const all = held.all();
      if (mark) checkMark(mark, all, "fork");
      const copies = all.map((layer, index) =>
        copyStore(layer, lengthsAt(layer, mark?.lengths[index]), shape)
      );
      return hostCacheOver(shape, copies);
    },

    [Symbol.dispose]: () => held.free(),
  };
}

/**
 * A cache that is known to be in main memory.
 *
 * @throws {TypeError} If it is on a device.
 */
export function hostCacheOf(cache: KvCache): HostKvCache {
  if (cache.home === "host") return cache;
  throw new TypeError(
    "Cannot work with a cache on a device in main memory: bring its entries there",
  );
}
