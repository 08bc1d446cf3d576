import { referenceAttention } from "../_reference_attention.ts";

/** What {@linkcode referenceDrop} works on; sizes as in a layer. */
export interface DropInput {
  readonly queries: Float32Array;
  readonly keys: Float32Array;
  readonly values: Float32Array;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly attentionScale?: number;
  /** `[hidden, heads · headDim]`; absent: lengths before it. */
  readonly output?: Float32Array;
  readonly power: 1 | 2;
  /** Weight of each query. */
  readonly weights: readonly number[];
}

/**
 * What the outputs of the last queries lose without each token, token by token: the head's output is
 * computed again from what is left of the shares.
 */
export function referenceDrop(input: DropInput): Float32Array {
  const { queries, keys, values, heads, kvHeads, headDim, output, power, weights } = input;
  const length = keys.length / (kvHeads * headDim);
  const width = heads * headDim;
  const effect = new Float64Array(heads * length);
  for (const [query, weight] of weights.entries()) {
    const visible = length - weights.length + query + 1;
    const shares = referenceAttention({
      ...input,
      queries: queries.slice(query * width, (query + 1) * width),
      visible,
      reduce: "sum",
    });
    for (let head = 0; head < heads; head++) {
      const group = Math.floor(head / (heads / kvHeads));
      const share = (token: number) => shares[head * length + token] ?? NaN;
      const value = (token: number, i: number) =>
        values[(token * kvHeads + group) * headDim + i] ?? NaN;
      const mixed = (left: (token: number) => boolean, total: number) =>
        Array.from({ length: headDim }, (_, i) => {
          let sum = 0;
          for (let token = 0; token < length; token++) {
            if (left(token)) sum += share(token) / total * value(token, i);
          }
          return sum;
        });
      const whole = mixed(() => true, 1);
      for (let token = 0; token < visible; token++) {
        const without = mixed((one) => one !== token, 1 - share(token));
        const moved = whole.map((one, i) => (without[i] ?? NaN) - one);
        const hidden = (output?.length ?? 0) / width;
        const projected = output
          ? Array.from({ length: hidden }, (_, row) =>
            moved.reduce(
              (sum, one, i) => sum + one * (output[row * width + head * headDim + i] ?? NaN),
              0,
            ))
          : moved;
        const squares = projected.reduce((sum, one) => sum + one ** 2, 0);
        const at = head * length + token;
        effect[at] = (effect[at] ?? 0) + weight * (power === 2 ? squares : Math.sqrt(squares));
      }
    }
  }
  return Float32Array.from(effect);
}
