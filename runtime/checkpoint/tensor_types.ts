import type { TensorType } from "./checkpoint.ts";

/** How a number format is laid out: `elements` numbers in a row share `bytes` bytes. */
export interface BlockLayout {
  /** Numbers in a block. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

/** Layout of each number format. Quantised formats come in ggml's blocks of 32 or 256. */
export const BLOCK_LAYOUTS: Readonly<Record<TensorType, BlockLayout>> = {
  F32: { elements: 1, bytes: 4 },
  F16: { elements: 1, bytes: 2 },
  BF16: { elements: 1, bytes: 2 },
  Q8_0: { elements: 32, bytes: 34 },
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
  Q5_0: { elements: 32, bytes: 22 },
  Q5_1: { elements: 32, bytes: 24 },
  Q2_K: { elements: 256, bytes: 84 },
  Q3_K: { elements: 256, bytes: 110 },
  Q4_K: { elements: 256, bytes: 144 },
  Q5_K: { elements: 256, bytes: 176 },
  Q6_K: { elements: 256, bytes: 210 },
  IQ4_NL: { elements: 32, bytes: 18 },
  IQ4_XS: { elements: 256, bytes: 136 },
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
