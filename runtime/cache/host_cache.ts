import {
  allocatedBytes,
  type AnyHostLayer,
  appendToLayer,
  commitToLayer,
  copyLayer,
  headEntries,
  isSliding,
  lengthOf,
  lengthsOf,
  markedOf,
  positionsOf,
  releaseLayer,
  reserveLayer,
  rollBackLayer,
  shownRows,
  slotsOf,
} from "./any_host_layer.ts";
import type { CacheShape } from "./bytes_per_token.ts";
import { cannotSetValues, checkKept, checkValues, requireInteger } from "./cache_checks.ts";
import { createHold } from "./holds.ts";
import { compactStore, copyKept, createStore, entryAt, trimStore } from "./host_layer.ts";
import type { HostKvCache, KvCache } from "./kv_cache.ts";
import { layerList } from "./layer_list.ts";
import { restLayer, wakeLayer } from "./rest.ts";
import { createSliding, holdSliding, shiftSliding } from "./sliding_layer.ts";
import { type CacheWindows, checkWindows, DEFAULT_SLACK } from "./windows.ts";
import { rerotateKey } from "../rotary/rerotate_key.ts";

/** Settings of {@linkcode createHostCache}. */
export interface HostCacheOptions extends CacheShape, CacheWindows {
  /**
   * Tokens per layer to make room for; a sliding layer takes no more than it can hold.
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
 * second copy. Views that were handed out before are then empty. A layer with a window takes the memory
 * of its window and a little more, however many tokens it is given.
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
 *
 * using sliding = createHostCache({ layers: 1, kvHeads: 1, headDim: 2, windows: [3] });
 * sliding.append(0, new Float32Array(16), new Float32Array(16), 0);
 * assertEquals(sliding.positions(0), new Int32Array([6, 7]));
 * ```
 */
export function createHostCache(options: HostCacheOptions): HostKvCache {
  const { layers, kvHeads, headDim, capacity = 0, windows, slack = DEFAULT_SLACK } = options;
  requireInteger("layers", layers, 1);
  requireInteger("kvHeads", kvHeads, 1);
  requireInteger("headDim", headDim, 1);
  requireInteger("capacity", capacity, 0);
  checkWindows({ windows, slack }, layers);
  const shape = { layers, kvHeads, headDim };
  const store = Array.from({ length: layers }, (_, index): AnyHostLayer => {
    const window = windows?.[index];
    if (window === undefined) return createStore(capacity, shape);
    const layer = createSliding(window, slack);
    reserveLayer(layer, capacity, shape);
    return layer;
  });
  return hostCacheOver(shape, store);
}

/** A cache over layers that are filled already, or will be. It owns them. */
export function hostCacheOver(shape: CacheShape, store: readonly AnyHostLayer[]): HostKvCache {
  const { layers, kvHeads, headDim } = shape;
  const row = kvHeads * headDim;
  const held = layerList<AnyHostLayer>(store, {
    free: releaseLayer,
    marked: markedOf,
    rollBack: (layer, length) => rollBackLayer(layer, length, shape),
  });
  /** A layer to be worked with, at rest no more. */
  const awake = (index: number): AnyHostLayer => {
    const layer = held.at(index);
    wakeLayer(layer, headDim);
    return layer;
  };

  return {
    home: "host",
    layers,
    kvHeads,
    headDim,

    get bytes() {
      return store.reduce((sum, layer) => sum + allocatedBytes(layer, shape), 0);
    },

    window(index) {
      const layer = held.at(index);
      return isSliding(layer) ? layer.window : undefined;
    },

    length: (index) => lengthOf(held.at(index)),

    lengths: (index) => lengthsOf(held.at(index), shape),

    segments(index) {
      const layer = held.at(index);
      if (isSliding(layer) || layer.slots !== undefined) return undefined;
      return layer.starts.map((start, head) => ({ start, length: layer.lengths[head] ?? 0 }));
    },

    head(index, kvHead) {
      if (kvHead in lengthsOf(held.at(index), shape)) {
        return headEntries(awake(index), kvHead, shape);
      }
      throw new RangeError(
        `Cannot reach KV head ${kvHead} of the KV cache: it has heads 0 to ${kvHeads - 1}`,
      );
    },

    entries: (index, spare) =>
      Array.from(
        { length: kvHeads },
        (_, kvHead) => headEntries(awake(index), kvHead, shape, spare),
      ),

    reserve(tokens) {
      requireInteger("tokens", tokens, 0);
      for (const [index] of held.all().entries()) reserveLayer(awake(index), tokens, shape);
    },

    append(index, keys, values, position) {
      const layer = awake(index);
      if (!Number.isInteger(keys.length / row) || values.length !== keys.length) {
        throw new RangeError(
          `Cannot append to the KV cache: keys and values must both be whole rows of ${row} ` +
            `numbers, they have ${keys.length} and ${values.length}`,
        );
      }
      requireInteger("position", position, 0);
      appendToLayer(layer, { keys, values }, position, shape);
    },

    slots: (index, tokens) => slotsOf(awake(index), tokens, shape),

    commit: (index, tokens, position) => commitToLayer(awake(index), tokens, position),

    keys: (index) => shownRows(awake(index), "keys", shape),

    values: (index) => shownRows(awake(index), "values", shape),

    positions: (index) => positionsOf(held.at(index), shape),

    compact(index, kept) {
      const layer = awake(index);
      const lengths = lengthsOf(layer, shape);
      checkKept(kept, kvHeads, lengths);
      if (!isSliding(layer)) {
        compactStore(layer, kept, shape);
      } else if (kept.some(({ length }, head) => length !== lengths[head])) {
        throw new RangeError(
          `Cannot compact layer ${index} of the KV cache: it slides, and keeps the last ` +
            `${layer.window - 1} tokens whatever is evicted elsewhere`,
        );
      }
    },

    setValues(index, values) {
      const layer = awake(index);
      checkValues(index, values, { lengths: lengthsOf(layer, shape), headDim });
      if (isSliding(layer)) throw cannotSetValues(index);
      for (const [kvHead, rows] of values.entries()) {
        for (let token = 0; token * headDim < rows.length; token++) {
          const row = rows.subarray(token * headDim, (token + 1) * headDim);
          layer.values.set(row, entryAt(layer, kvHead, token) * headDim);
        }
      }
    },

    rerotate(index, { frequencies, to }) {
      const layer = awake(index);
      if (isSliding(layer)) {
        const [first = 0] = positionsOf(layer, shape);
        const distance = (to[0]?.[0] ?? first) - first;
        shiftSliding(layer, distance, (key, from) => {
          rerotateKey(key, frequencies, from, from + distance);
        }, shape);
        return;
      }
      for (const [kvHead, positions] of to.entries()) {
        for (const [token, position] of positions.entries()) {
          const entry = entryAt(layer, kvHead, token);
          const key = layer.keys.subarray(entry * headDim, (entry + 1) * headDim);
          rerotateKey(key, frequencies, layer.positions[entry] ?? 0, position);
          layer.positions[entry] = position;
        }
      }
    },

    rollback: (mark) => held.rollback(mark),

    canRollBack: (mark) => held.canRollBack(mark),

    mark: () => held.mark(),

    hold(mark) {
      held.check(mark, "hold a mark of");
      const hold = createHold();
      held.all().forEach((layer, index) => {
        if (isSliding(layer)) holdSliding(layer, hold, mark.lengths[index] ?? 0, shape);
      });
      return hold;
    },

    fork(mark) {
      const all = held.all();
      if (mark) held.check(mark, "fork");
      const copies = all.map((layer, index) => copyLayer(layer, mark?.lengths[index], shape));
      return hostCacheOver(shape, copies);
    },

    forkKept(kept) {
      const all = held.all().map((_, index) => awake(index));
      const of = (index: number) => kept[index] ?? [];
      all.forEach((layer, index) => {
        if (!isSliding(layer)) checkKept(of(index), kvHeads, lengthsOf(layer, shape));
      });
      const copies = all.map((layer, index) =>
        isSliding(layer) ? copyLayer(layer, undefined, shape) : copyKept(layer, of(index), shape)
      );
      return hostCacheOver(shape, copies);
    },

    rest(precision) {
      for (const [index, layer] of held.all().entries()) {
        if (layer.narrow?.keys.precision === precision) continue;
        awake(index);
        if (!isSliding(layer)) trimStore(layer, shape);
        restLayer(layer, headDim, precision);
      }
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
