import { KvjudgeError } from "../errors.ts";
import { bytesPerToken, type CacheShape } from "./bytes_per_token.ts";
import { keepRows } from "./keep_rows.ts";
import type { CacheMark, KvCache } from "./kv_cache.ts";
import { allocate, release, resized } from "./memory.ts";

/** Settings of {@linkcode createHostCache}. */
export interface HostCacheOptions extends CacheShape {
  /**
   * Tokens per layer to make room for.
   *
   * @default {0}
   */
  readonly capacity?: number;
}

/** Smallest capacity that growth by itself makes. */
const FIRST_GROWTH = 16;

/** Arrays of one layer, as long as its capacity; positions lie as `[capacity, kvHeads]`. */
interface Layer {
  length: number;
  capacity: number;
  keys: Float32Array<ArrayBuffer>;
  values: Float32Array<ArrayBuffer>;
  positions: Int32Array<ArrayBuffer>;
}

/**
 * A KV cache in main memory: 32-bit floats and, per KV head, 32-bit positions.
 *
 * Memory grows in place and goes back to the system when tokens are dropped by
 * {@linkcode KvCache.compact} or by disposal, without waiting for the garbage collector and without a
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
export function createHostCache(options: HostCacheOptions): KvCache {
  const { layers, kvHeads, headDim, capacity = 0 } = options;
  requireInteger("layers", layers, 1);
  requireInteger("kvHeads", kvHeads, 1);
  requireInteger("headDim", headDim, 1);
  requireInteger("capacity", capacity, 0);
  const shape = { layers, kvHeads, headDim };
  return hostCache(shape, Array.from({ length: layers }, () => createLayer(capacity, shape)));
}

function hostCache(shape: CacheShape, store: readonly Layer[]): KvCache {
  const { layers, kvHeads, headDim } = shape;
  const row = kvHeads * headDim;
  const tokenBytes = bytesPerToken({ ...shape, layers: 1 });
  let disposed = false;

  function live(): readonly Layer[] {
    if (disposed) {
      throw new KvjudgeError("Cannot use a KV cache after its disposal: create a new one");
    }
    return store;
  }

  function at(layer: number): Layer {
    const found = live()[layer];
    if (found === undefined) {
      throw new RangeError(
        `Cannot reach layer ${layer} of the KV cache: it has layers 0 to ${layers - 1}`,
      );
    }
    return found;
  }

  return {
    layers,
    kvHeads,
    headDim,

    get bytes() {
      return store.reduce((sum, layer) => sum + layer.capacity, 0) * tokenBytes;
    },

    get usedBytes() {
      return store.reduce((sum, layer) => sum + layer.length, 0) * tokenBytes;
    },

    length: (layer) => at(layer).length,

    reserve(tokens) {
      requireInteger("tokens", tokens, 0);
      for (const layer of live()) {
        if (layer.length + tokens > layer.capacity) {
          resize(layer, layer.length + tokens, shape);
        }
      }
    },

    append(index, keys, values, position) {
      const layer = at(index);
      const tokens = keys.length / row;
      if (!Number.isInteger(tokens) || values.length !== keys.length) {
        throw new RangeError(
          `Cannot append to the KV cache: keys and values must both be whole rows of ${row} ` +
            `numbers, they have ${keys.length} and ${values.length}`,
        );
      }
      requireInteger("position", position, 0);
      const { length } = layer;
      const needed = length + tokens;
      if (needed > layer.capacity) {
        const grown = Math.max(FIRST_GROWTH, Math.ceil(layer.capacity * 1.5));
        resize(layer, Math.max(needed, grown), shape);
      }
      layer.keys.set(keys, length * row);
      layer.values.set(values, length * row);
      for (let token = 0; token < tokens; token++) {
        const start = (length + token) * kvHeads;
        layer.positions.fill(position + token, start, start + kvHeads);
      }
      layer.length = needed;
    },

    keys(index) {
      const layer = at(index);
      return layer.keys.subarray(0, layer.length * row);
    },

    values(index) {
      const layer = at(index);
      return layer.values.subarray(0, layer.length * row);
    },

    positions(index) {
      const { positions, length } = at(index);
      const perHead = new Int32Array(kvHeads * length);
      for (let head = 0; head < kvHeads; head++) {
        for (let token = 0; token < length; token++) {
          perHead[head * length + token] = positions[token * kvHeads + head] ?? 0;
        }
      }
      return perHead;
    },

    compact(index, kept) {
      const layer = at(index);
      const count = checkKept(kept, kvHeads, layer.length);
      if (count < layer.length) {
        keepRows(layer.keys, kept, headDim);
        keepRows(layer.values, kept, headDim);
        keepRows(layer.positions, kept, 1);
        layer.length = count;
      }
      resize(layer, count, shape);
    },

    rollback(mark) {
      const held = live();
      checkMark(mark, held, "roll back");
      held.forEach((layer, index) => layer.length = mark.lengths[index] ?? layer.length);
    },

    mark: () => ({ lengths: live().map((layer) => layer.length) }),

    fork(mark) {
      const held = live();
      if (mark) checkMark(mark, held, "fork");
      const copies = held.map(({ keys, values, positions, ...layer }, index) => {
        const length = mark?.lengths[index] ?? layer.length;
        const copy = createLayer(length, shape);
        copy.length = length;
        copy.keys.set(keys.subarray(0, length * row));
        copy.values.set(values.subarray(0, length * row));
        copy.positions.set(positions.subarray(0, length * kvHeads));
        return copy;
      });
      return hostCache(shape, copies);
    },

    [Symbol.dispose]() {
      if (disposed) return;
      for (const layer of store) {
        layer.length = layer.capacity = 0;
        release(layer.keys.buffer);
        release(layer.values.buffer);
        release(layer.positions.buffer);
      }
      disposed = true;
    },
  };
}

function createLayer(capacity: number, { kvHeads, headDim }: CacheShape): Layer {
  const floats = capacity * kvHeads * headDim * Float32Array.BYTES_PER_ELEMENT;
  return {
    length: 0,
    capacity,
    keys: new Float32Array(allocate(floats)),
    values: new Float32Array(allocate(floats)),
    positions: new Int32Array(allocate(capacity * kvHeads * Int32Array.BYTES_PER_ELEMENT)),
  };
}

function resize(layer: Layer, capacity: number, { kvHeads, headDim }: CacheShape): void {
  const floats = capacity * kvHeads * headDim * Float32Array.BYTES_PER_ELEMENT;
  layer.keys = new Float32Array(resized(layer.keys.buffer, floats));
  layer.values = new Float32Array(resized(layer.values.buffer, floats));
  layer.positions = new Int32Array(
    resized(layer.positions.buffer, capacity * kvHeads * Int32Array.BYTES_PER_ELEMENT),
  );
  layer.capacity = capacity;
}

/** Refuses a mark of another cache, or of entries that are not held any more. */
function checkMark({ lengths }: CacheMark, held: readonly Layer[], action: string): void {
  if (lengths.length !== held.length) {
    throw new RangeError(
      `Cannot ${action} the KV cache: the mark has ${lengths.length} layers, it must have ${held.length}`,
    );
  }
  for (const [index, length] of lengths.entries()) {
    const now = held[index]?.length ?? 0;
    if (!Number.isInteger(length) || length < 0 || length > now) {
      throw new RangeError(
        `Cannot ${action} layer ${index} of the KV cache to ${length} tokens: it holds ${now}; ` +
          "take a new mark after a compaction",
      );
    }
  }
}

/** Checks indices before anything is changed; returns how many each head keeps. */
function checkKept(kept: readonly Int32Array[], kvHeads: number, length: number): number {
  const count = kept[0]?.length;
  if (kept.length !== kvHeads || count === undefined) {
    throw new RangeError(
      `Cannot compact the KV cache: there must be indices for ${kvHeads} KV heads, got ${kept.length}`,
    );
  }
  for (const [head, indices] of kept.entries()) {
    if (indices.length !== count) {
      throw new RangeError(
        `Cannot compact the KV cache: KV head ${head} keeps ${indices.length} tokens, head 0 keeps ${count}`,
      );
    }
    let last = -1;
    for (const index of indices) {
      if (index <= last || index >= length) {
        throw new RangeError(
          `Cannot compact the KV cache: indices of KV head ${head} must ascend within 0 to ` +
            `${length - 1}, got ${index} after ${last}`,
        );
      }
      last = index;
    }
  }
  return count;
}

function requireInteger(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) {
    throw new RangeError(
      `Cannot use '${name}' for a KV cache: it must be an integer of at least ${least}, got ${value}`,
    );
  }
}

/** Where {@linkcode fillHostCache} wants the entries of a layer. */
export interface LayerSpace {
  /** `[length, kvHeads, headDim]`. */
  readonly keys: Float32Array;
  /** Like the keys. */
  readonly values: Float32Array;
}

/**
 * Makes a cache of entries that come from elsewhere, such as a file, without a second copy of them.
 *
 * @param lengths Tokens per KV head, one number per layer.
 * @param fill Writes the keys and values of a layer and returns its positions, `[kvHeads, length]`.
 */
export function fillHostCache(
  shape: CacheShape,
  lengths: readonly number[],
  fill: (layer: number, space: LayerSpace) => Int32Array,
): KvCache {
  const { kvHeads } = shape;
  const store = lengths.map((length) => createLayer(length, shape));
  const cache = hostCache(shape, store);
  try {
    for (const [index, layer] of store.entries()) {
      const length = layer.length = layer.capacity;
      const positions = fill(index, layer);
      for (let head = 0; head < kvHeads; head++) {
        for (let token = 0; token < length; token++) {
          layer.positions[token * kvHeads + head] = positions[head * length + token] ?? 0;
        }
      }
    }
    return cache;
  } catch (error) {
    cache[Symbol.dispose]();
    throw error;
  }
}
