import type { Blocks } from "../../../runtime/weights/blocks.ts";

/** The matrix that blocks stand for, filled-up columns included: `[rows, blocks · 32]`. */
export function unpack(
  { bits, rows, columns, values, scales, zeroPoints, offsets }: Blocks,
): Float32Array {
  const blocks = Math.ceil(columns / 32);
  return Float32Array.from({ length: rows * blocks * 32 }, (_, index) => {
    const block = Math.floor(index / 32);
    const value = bits === 8
      ? values[index] ?? NaN
      : ((values[index >> 1] ?? NaN) >> (4 * (index % 2))) & 15;
    const zero = zeroPoints?.[block] ?? 2 ** (bits - 1);
    const transposed = (block % blocks) * rows + Math.floor(block / blocks);
    return (scales[block] ?? NaN) * (value - zero) + (offsets?.[transposed] ?? 0);
  });
}
