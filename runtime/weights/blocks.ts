/** A matrix in blocks of 32 columns, as `BlockWeight` of the kernels describes it. */
export interface Blocks {
  readonly bits: 4 | 8;
  readonly rows: number;
  readonly columns: number;
  readonly values: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints?: Uint8Array;
  /** `[blocks, rows]`. */
  readonly offsets?: Float32Array;
}

const BLOCK = 32;

/**
 * Rounds rows to 8 bits with a scale and a zero point for every 32 columns. Zero is always exact, so
 * that padding columns add nothing.
 */
export function quantiseBlocks(data: Float32Array, rows: number, columns: number): Blocks {
  const blocks = Math.ceil(columns / BLOCK);
  const values = new Uint8Array(rows * blocks * BLOCK);
  const scales = new Float32Array(rows * blocks);
  const zeroPoints = new Uint8Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * columns + block * BLOCK;
      const end = Math.min(start + BLOCK, (row + 1) * columns);
      let low = 0;
      let high = 0;
      for (let i = start; i < end; i++) {
        const value = data[i] ?? 0;
        if (value < low) low = value;
        else if (value > high) high = value;
      }
      const scale = (high - low) / 255;
      const inverse = scale > 0 ? 1 / scale : 0;
      const zero = Math.round(-low * inverse);
      const index = row * blocks + block;
      scales[index] = scale;
      zeroPoints[index] = zero;
      const target = index * BLOCK;
      values.fill(zero, target, target + BLOCK);
      for (let i = start; i < end; i++) {
        const rounded = Math.round((data[i] ?? 0) * inverse) + zero;
        values[target + i - start] = rounded < 0 ? 0 : rounded > 255 ? 255 : rounded;
      }
    }
  }
  return { bits: 8, rows, columns, values, scales, zeroPoints };
}
