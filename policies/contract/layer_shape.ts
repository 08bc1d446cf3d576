/** Sizes of a layer of the KV cache, and where its keys lie. */
export interface LayerShape {
  /** Index of this layer, from 0, among the layers that can be evicted: those that do not slide. */
  readonly layer: number;
  /** Layers of the model that can be evicted. */
  readonly layers: number;
  /** Query heads. */
  readonly heads: number;
  /** KV heads; `heads / kvHeads` query heads share one (GQA). */
  readonly kvHeads: number;
  /** Index in the model's layer of the first KV head shown; above 0 only where heads are shown one by one. */
  readonly firstHead: number;
  /** Head size. */
  readonly headDim: number;
  /** Cached tokens per KV head. */
  readonly length: number;
  /**
   * Positions that the keys are rotated at, `[kvHeads × length]`: those of the text, or those that
   * an earlier eviction rerotated them to.
   */
  readonly positions: Int32Array;
}
