/**
 * The keys and values of a prompt and its answer, owned memory.
 *
 * Per layer token-major `[capacity, kvHeads, headDim]`; keys are rotated at their positions, which are
 * kept per KV head, because each head may keep different tokens.
 */
export interface KvCache extends Disposable {
  /** Layers of the model. */
  readonly layers: number;
  /** KV heads. */
  readonly kvHeads: number;
  /** Head size. */
  readonly headDim: number;
  /** Bytes that are allocated now, spare capacity and positions included. */
  readonly bytes: number;
  /** Bytes of the entries held now: what is kept, without spare capacity. */
  readonly usedBytes: number;
  /** Tokens per KV head in a layer; where the heads hold different numbers, the largest. */
  length(layer: number): number;
  /** Tokens of each KV head in a layer. */
  lengths(layer: number): readonly number[];
  /**
   * Where the entries of each KV head lie in {@linkcode KvCache.keys} and
   * {@linkcode KvCache.values}, if the heads of a layer hold different numbers of tokens.
   */
  segments(layer: number): readonly Segment[] | undefined;
  /** Copies of what one KV head holds. */
  head(layer: number, kvHead: number): HeadEntries;
  /** Makes room so that `tokens` more can be appended to each layer without growing again. */
  reserve(tokens: number): void;
  /**
   * Appends `tokens` rows to a layer.
   *
   * @param keys `[tokens, kvHeads, headDim]`; may be a view into a larger array, it is copied.
   * @param values Like `keys`.
   * @param position True position of the first row; the rest follow it.
   */
  append(layer: number, keys: Float32Array, values: Float32Array, position: number): void;
  /**
   * Zero-copy view of the keys held, `[length, kvHeads, headDim]`. Where the heads hold different
   * numbers of tokens, `[rows, kvHeads, headDim]` of entries in {@linkcode KvCache.segments}. Valid
   * until the next change.
   */
  keys(layer: number): Float32Array;
  /** Like {@linkcode KvCache.keys}, for the values. */
  values(layer: number): Float32Array;
  /** True positions, `[kvHeads, length]`, or those of each head behind those before, a copy. */
  positions(layer: number): Int32Array;
  /**
   * Keeps only the given entries of a layer and returns the rest of its memory.
   *
   * @param kept One ascending array of indices per KV head.
   */
  compact(layer: number, kept: readonly Int32Array[]): void;
  /**
   * Moves the entries of a layer to other positions, in place.
   *
   * @param turn Is given each key, to be changed in place, and where it stands; returns its position
   * from now on.
   */
  move(layer: number, turn: (key: Float32Array, entry: CacheEntry) => number): void;
  /** Drops the last entries so that each layer holds what it held at the mark. */
  rollback(mark: CacheMark): void;
  /** Remembers the lengths now. */
  mark(): CacheMark;
  /** An independent copy, of what was held at a mark or of everything. */
  fork(mark?: CacheMark): KvCache;
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

/** Where an entry stands. */
export interface CacheEntry {
  /** KV head that holds it. */
  readonly kvHead: number;
  /** Its place among those of its KV head. */
  readonly index: number;
  /** What its key is rotated at. */
  readonly position: number;
}

/** Lengths of the layers at one moment. */
export interface CacheMark {
  /** Tokens of the KV head that holds most, one number per layer. */
  readonly lengths: readonly number[];
}
