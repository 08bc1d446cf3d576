/** Sizes and numbers of {@linkcode outputNorms}. */
export interface OutputNormsInput {
  /** `[length, kvHeads, headDim]`. */
  readonly values: Float32Array;
  /** `[hidden, heads · headDim]`. */
  readonly output: Float32Array;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/**
 * How far each value can move a layer's output, in double precision: the sum of the absolute values of
 * the output matrix times the value, the mean over the query heads of a group, `[kvHeads × length]`.
 */
export function outputNorms(input: OutputNormsInput): Float32Array {
  const { values, output, heads, kvHeads, headDim } = input;
  const group = heads / kvHeads;
  const hidden = output.length / (heads * headDim);
  const length = values.length / (kvHeads * headDim);
  return Float32Array.from({ length: kvHeads * length }, (_, index) => {
    const [kvHead, token] = [Math.floor(index / length), index % length];
    const value = values.subarray((token * kvHeads + kvHead) * headDim).subarray(0, headDim);
    let norm = 0;
    for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
      for (let row = 0; row < hidden; row++) {
        const weights = output.subarray((row * heads + head) * headDim).subarray(0, headDim);
        norm += Math.abs(value.reduce((sum, one, i) => sum + one * (weights[i] ?? NaN), 0));
      }
    }
    return norm / group;
  });
}
