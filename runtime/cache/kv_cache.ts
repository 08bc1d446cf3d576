import type { DeviceTensor } from "../../kernels/device/device.ts";
import type { LayerBuffers } from "../../kernels/device/layer_buffers.ts";
import type { NarrowPrecision } from "./narrow_rows.ts";
import type { MaybePromise } from "../../policies/policy.ts";

/**
 * The keys and values of a prompt and its answer, owned memory. Where it lies is its `home`.
 *
 * Keys are rotated at their positions, which are kept per KV head, because each head may keep
 * different tokens.
 */
export type KvCache = HostKvCache | DeviceKvCache;

/** What a cache has and does wherever it lies. */
export interface BaseKvCache extends Disposable {
  /** Where the keys and values are: main memory, or a device. */
  readonly home: "host" | "device";
  /** Layers of the model. */
  readonly layers: number;
  /** KV heads. */
  readonly kvHeads: number;
  /** Head size. */
  readonly headDim: number;
  /** Bytes that are allocated now, spare capacity and positions included. */
  readonly bytes: number;
  /**
   * Tokens that a query of a sliding layer sees at most, itself among them: the layer shows one entry
   * fewer, its last ones, and keeps little more. `undefined` for a global layer, which keeps what it is
   * not told to drop.
   */
  window(layer: number): number | undefined;
  /** Tokens per KV head in a layer; where the heads hold different numbers, the largest. */
  length(layer: number): number;
  /** Tokens of each KV head in a layer. */
  lengths(layer: number): readonly number[];
  /**
   * Positions that the keys are rotated at, `[kvHeads, length]`, or those of each head behind those
   * before, a copy: those of the text, or those that keys were rerotated to.
   */
  positions(layer: number): Int32Array;
  /** Makes ready for `tokens` more in each layer. */
  reserve(tokens: number): MaybePromise<void>;
  /**
   * Keeps only the given entries of a layer and frees the memory of the rest: this is what makes an
   * eviction worth its while. Marks of this layer that were taken before are of no more use.
   *
   * A sliding layer keeps its last entries whatever is evicted elsewhere.
   *
   * @param kept One ascending array of indices per KV head.
   */
  compact(layer: number, kept: readonly Int32Array[]): MaybePromise<void>;
  /**
   * Rerotates the keys of a layer to other positions. Those of a sliding layer all move by one distance,
   * those that it does not show too.
   */
  rerotate(layer: number, to: Rerotation): MaybePromise<void>;
  /**
   * Drops the last entries so that each layer shows what it showed at the mark.
   *
   * @throws {RangeError} If that cannot be done exactly, see {@linkcode BaseKvCache.canRollBack}.
   */
  rollback(mark: CacheMark): void;
  /**
   * Whether a rollback to a mark is exact: global layers hold its entries still, and sliding ones what
   * their windows showed then. These do for the last 128 tokens or so, and for a mark that is held for as
   * long as it is.
   */
  canRollBack(mark: CacheMark): boolean;
  /** Remembers the lengths now. */
  mark(): CacheMark;
  /**
   * Sees to it that the cache, and what is forked from it, can be rolled back to a mark however long the
   * text becomes, until it is disposed of. Entries that sliding layers are about to lose are then copied;
   * until then, and without sliding layers, it costs nothing. A rollback to before the mark ends it.
   *
   * @throws {RangeError} If the cache cannot be rolled back to the mark now.
   */
  hold(mark: CacheMark): Disposable;
  /** An independent copy, of what was held at a mark or of everything. */
  fork(mark?: CacheMark): MaybePromise<KvCache>;
  /**
   * Copies of what the KV heads of a layer hold, in main memory.
   *
   * @param spare Whether those before the window of a sliding layer come along, as far as it keeps them
   * for rollbacks. @default {false}
   */
  entries(layer: number, spare?: boolean): MaybePromise<readonly HeadEntries[]>;
  /**
   * Rounds keys and values, so that they take less memory until something works with them again: they are
   * 32-bit floats then, of the rounded numbers. Rounding twice changes nothing. A cache on a device
   * stays as it is.
   */
  rest(precision: NarrowPrecision): void;
  /** Frees all memory. */
  [Symbol.dispose](): void;
}

/** Where keys are rotated on to. */
export interface Rerotation {
  /** Rotary frequencies, `[headDim / 2]`. */
  readonly frequencies: Float32Array;
  /** Position of each entry from now on, per KV head. */
  readonly to: readonly Int32Array[];
}

/**
 * A KV cache in main memory: per layer `[kvHeads, slots, headDim]`, token-major where a layer slides.
 */
export interface HostKvCache extends BaseKvCache {
  /** Main memory. */
  readonly home: "host";
  /** Makes room so that `tokens` more can be appended to each layer without growing again. */
  reserve(tokens: number): void;
  /** As {@linkcode BaseKvCache.compact}. */
  compact(layer: number, kept: readonly Int32Array[]): void;
  /**
   * Puts other values in the place of all that a global layer holds, `[length, headDim]` of each KV head.
   *
   * @throws {RangeError} If the layer slides, or there are more or fewer.
   */
  setValues(layer: number, values: readonly Float32Array[]): void;
  /** As {@linkcode BaseKvCache.rerotate}. */
  rerotate(layer: number, to: Rerotation): void;
  /** As {@linkcode BaseKvCache.fork}. */
  fork(mark?: CacheMark): HostKvCache;
  /**
   * An independent copy of some entries of each layer, as if all had been forked and then compacted; of a
   * sliding layer what it holds.
   *
   * @param kept Ascending indices, `[layer][KV head]`.
   */
  forkKept(kept: readonly (readonly Int32Array[])[]): HostKvCache;
  /** As {@linkcode BaseKvCache.entries}. */
  entries(layer: number, spare?: boolean): readonly HeadEntries[];
  /**
   * Where the entries of each KV head lie in {@linkcode HostKvCache.keys} and
   * {@linkcode HostKvCache.values}, if the heads of a layer hold different numbers of tokens.
   */
  segments(layer: number): readonly Segment[] | undefined;
  /** Copies of what one KV head holds. */
  head(layer: number, kvHead: number): HeadEntries;
  /**
   * Appends `tokens` rows to a layer.
   *
   * @param keys `[tokens, kvHeads, headDim]`; may be a view into a larger array, it is copied.
   * @param values Like `keys`.
   * @param position Position of the first row; the rest follow it.
   */
  append(layer: number, keys: Float32Array, values: Float32Array, position: number): void;
  /**
   * A layer as a step reads it, with room for `tokens` more if these may be written there. Absent where
   * its heads hold different numbers of tokens, or it slides and has several. Valid until the next change.
   */
  slots(layer: number, tokens: number): LayerSlots | undefined;
  /** Counts tokens that a step wrote into the slots behind those of each head. */
  commit(layer: number, tokens: number, position: number): void;
  /**
   * The keys held, `[length, kvHeads, headDim]`. Where the heads hold different numbers of tokens,
   * `[rows, kvHeads, headDim]` of entries in {@linkcode HostKvCache.segments}. Where there is one KV head,
   * a layer slides, or the heads differ, a view that is valid until the next change; else a copy.
   */
  keys(layer: number): Float32Array;
  /** Like {@linkcode HostKvCache.keys}, for the values. */
  values(layer: number): Float32Array;
}

/** Where a step reads a layer's keys and values, and may write those of new tokens. */
export interface LayerSlots {
  /** `[kvHeads, slots, headDim]`, of which each head holds the first `held`. */
  readonly keys: Float32Array;
  /** Like the keys. */
  readonly values: Float32Array;
  /** Slots of each head. */
  readonly slots: number;
  /** Tokens of each head. */
  readonly held: number;
  /** Whether new entries may be written behind those that are held. */
  readonly writable: boolean;
}

/** A KV cache whose keys and values never leave a device. */
export interface DeviceKvCache extends BaseKvCache {
  /** A device. */
  readonly home: "device";
  /** As {@linkcode BaseKvCache.fork}. */
  fork(mark?: CacheMark): Promise<DeviceKvCache>;
  /**
   * Tokens of each KV head that lie in a layer's first slots: as many as it holds, and in a sliding layer
   * those before its window that are not dropped yet.
   */
  stored(layer: number): readonly number[];
  /** Slots of each KV head in a layer. */
  capacity(layer: number): number;
  /**
   * Keys and values of a layer, `[kvHeads, capacity, headDim]`: KV head `h` holds the first
   * `stored(layer)[h]` slots, the others mean nothing. Valid until the next change.
   */
  buffers(layer: number): LayerBuffers;
  /** A copy of the keys or values of all slots of a layer, in main memory. */
  copied(layer: number, which: keyof LayerBuffers): Promise<Float32Array>;
  /**
   * Puts other values in the place of all that a global layer holds; the cache owns them from then on.
   *
   * @param values `[kvHeads, capacity, headDim]`, of the cache's numbers.
   * @throws {RangeError} If the layer slides, or they are of other sizes.
   */
  setValues(layer: number, values: DeviceTensor): void;
  /** Makes sure that so many tokens more have slots. */
  makeRoom(tokens: number): Promise<void>;
  /**
   * Puts entries from main memory into a layer that holds none.
   *
   * @param given Tokens that a sliding layer was given, those that it holds no more included.
   */
  fill(layer: number, entries: readonly HeadEntries[], given?: number): Promise<void>;
  /** Counts the tokens that a step wrote behind those of each head. */
  commit(tokens: number, position: number): void;
}

/** A stretch of entries. */
export interface Segment {
  /** Index of the first. */
  readonly start: number;
  /** Number of them. */
  readonly length: number;
}

/** What one KV head of a layer holds. */
export interface HeadEntries {
  /** `[length, headDim]`. */
  readonly keys: Float32Array;
  /** Like the keys. */
  readonly values: Float32Array;
  /** `[length]`. */
  readonly positions: Int32Array;
}

/** Lengths of the layers at one moment. */
export interface CacheMark {
  /**
   * Tokens of the KV head that holds most, one number per layer; of a sliding layer all tokens that it
   * was given, those outside its window too. Fewer in all layers are a mark of as many tokens before.
   */
  readonly lengths: readonly number[];
}
