/** What {@linkcode referenceAttention} works on. */
export interface AttentionInput {
  /** Rotated evidence queries, `[queries, heads, headDim]`. */
  readonly queries: Float32Array;
  /** Rotated keys, `[length, kvHeads, headDim]`. */
  readonly keys: Float32Array;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Factor on products of queries and keys. @default {1 / √headDim} */
  readonly attentionScale?: number;
  /** Keys that the first query sees, itself included; each further query sees one more. */
  readonly visible: number;
  /** How the queries are put together. */
  readonly reduce: "mean" | "sum";
}

/** Attention that each key receives from the queries, in double precision: `[heads × length]`. */
export function referenceAttention(input: AttentionInput): Float32Array {
  const { queries, keys, heads, kvHeads, headDim, visible, reduce } = input;
  const { attentionScale = 1 / Math.sqrt(headDim) } = input;
  const count = queries.length / (heads * headDim);
  const length = keys.length / (kvHeads * headDim);
  const received = new Float64Array(heads * length);
  for (let query = 0; query < count; query++) {
    for (let head = 0; head < heads; head++) {
      const group = Math.floor(head / (heads / kvHeads));
      const logits = Array.from({ length: Math.min(length, visible + query) }, (_, key) => {
        let product = 0;
        for (let i = 0; i < headDim; i++) {
          product += (queries[(query * heads + head) * headDim + i] ?? NaN) *
            (keys[(key * kvHeads + group) * headDim + i] ?? NaN);
        }
        return product * attentionScale;
      });
      const most = Math.max(...logits);
      const exponents = logits.map((logit) => Math.exp(logit - most));
      const total = exponents.reduce((sum, exponent) => sum + exponent, 0);
      for (const [key, exponent] of exponents.entries()) {
        received[head * length + key] = (received[head * length + key] ?? 0) + exponent / total;
      }
    }
  }
  const divisor = reduce === "mean" ? count : 1;
  return Float32Array.from(received, (sum) => sum / divisor);
}
