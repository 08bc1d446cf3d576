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
  const norms = new Float32Array(kvHeads * length);
  for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
    for (let token = 0; token < length; token++) {
      const value = (token * kvHeads + kvHead) * headDim;
      let norm = 0;
      for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
        for (let row = 0; row < hidden; row++) {
          const weights = (row * heads + head) * headDim;
          let sum = 0;
          for (let i = 0; i < headDim; i++) {
            sum += (values[value + i] ?? NaN) * (output[weights + i] ?? NaN);
          }
          norm += Math.abs(sum);
        }
      }
      norms[kvHead * length + token] = norm / group;
    }
  }
  return norms;
}
