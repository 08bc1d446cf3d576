import type { TensorType } from "./checkpoint.ts";

/** How a number format is laid out: `elements` numbers in a row share `bytes` bytes. */
export interface BlockLayout {
  /** Numbers in a block. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

/** Layout of each number format. Quantised formats come in ggml's blocks of 32. */
export const BLOCK_LAYOUTS: Readonly<Record<TensorType, BlockLayout>> = {
  F32: { elements: 1, bytes: 4 },
  F16: { elements: 1, bytes: 2 },
  BF16: { elements: 1, bytes: 2 },
  Q8_0: { elements: 32, bytes: 34 },
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
};

/** Number of elements of a shape; 1 for a scalar. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Bytes of a tensor, or `undefined` if its rows do not divide into whole blocks. */
export function bytesOf(type: TensorType, shape: readonly number[]): number | undefined {
  const { elements, bytes } = BLOCK_LAYOUTS[type];
  const width = shape.at(-1) ?? 1;
  return width % elements === 0 ? elementsOf(shape) / elements * bytes : undefined;
}
