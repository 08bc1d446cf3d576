/**
 * The keys and values of a prompt and its answer, owned memory.
 *
 * Per layer token-major `[capacity, kvHeads, headDim]`; keys are rotated at their true positions and
 * stay so. Positions are kept per KV head, because each head may keep different tokens.
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
  /** Tokens per KV head in a layer. */
  length(layer: number): number;
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
  /** Zero-copy view of the keys held, `[length, kvHeads, headDim]`. Valid until the next change. */
  keys(layer: number): Float32Array;
  /** Like {@linkcode KvCache.keys}, for the values. */
  values(layer: number): Float32Array;
  /** True positions, `[kvHeads, length]`, a copy. */
  positions(layer: number): Int32Array;
  /**
   * Keeps only the given entries of a layer and returns the rest of its memory.
   *
   * @param kept One ascending array of indices per KV head, all of the same length.
   */
  compact(layer: number, kept: readonly Int32Array[]): void;
  /** Drops the last entries so that each layer holds what it held at the mark. */
  rollback(mark: CacheMark): void;
  /** Remembers the lengths now. */
  mark(): CacheMark;
  /** An independent copy, of what was held at a mark or of everything. */
  fork(mark?: CacheMark): KvCache;
}

/** Lengths of the layers at one moment. */
export interface CacheMark {
  /** Tokens per KV head, one number per layer. */
  readonly lengths: readonly number[];
}
