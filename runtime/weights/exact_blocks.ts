import {
  emptyGroup,
  GROUP_READERS,
  type GroupReader,
  type QuantisedType,
} from "../checkpoint/block_groups.ts";
import { BLOCK_LAYOUTS } from "../checkpoint/tensor_types.ts";
import { BLOCK } from "../../kernels/weight.ts";
import type { Blocks } from "./blocks.ts";

/** Formats whose groups are as wide as the kernels' blocks: they are multiplied without rounding. */
export type ExactType = Exclude<QuantisedType, "Q2_K" | "Q3_K" | "Q6_K">;

/** Whether the kernels multiply a format as it is. */
export function isExactType(type: string): type is ExactType {
  const reader = Object.entries(GROUP_READERS).find(([name]) => name === type)?.[1];
  return reader?.size === BLOCK;
}

/** Bits that the kernels need for a value of a format: 4, or 8 for anything wider. */
export function exactBits(type: ExactType): 4 | 8 {
  return GROUP_READERS[type].bits <= 4 ? 4 : 8;
}

/** Whether a format's groups have a minimum, so that its blocks have an offset. */
export function hasOffsets(type: ExactType): boolean {
  return GROUP_READERS[type].hasMinimum;
}

/**
 * Takes ggml blocks apart without changing a weight. The kernels know only quants around 0:
 * `d·q + m` becomes `d·(q − c)` with the offset `m + c·d`, where `c` is the middle of the quants.
 *
 * @param bytes Whole rows of blocks, `[rows, columns / 32]`.
 */
export function exactBlocks(
  type: ExactType,
  bytes: Uint8Array,
  rows: number,
  columns: number,
): Blocks {
  const reader: GroupReader = GROUP_READERS[type];
  const bits = exactBits(type);
  const { elements, bytes: stride } = BLOCK_LAYOUTS[type];
  const perBlock = elements / BLOCK;
  const blocks = columns / BLOCK;
  const values = new Uint8Array(rows * blocks * 4 * bits);
  const scales = new Float32Array(rows * blocks);
  const offsets = reader.hasMinimum ? new Float32Array(rows * blocks) : undefined;
  const centre = reader.hasMinimum ? 2 ** (reader.bits - 1) : 0;
  const shift = 2 ** (bits - 1) - centre;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const group = emptyGroup();
  const { quants } = group;
  for (let index = 0; index < rows * blocks; index++) {
    reader.read(view, Math.floor(index / perBlock) * stride, index % perBlock, group);
    scales[index] = group.scale;
    if (offsets) {
      const transposed = (index % blocks) * rows + Math.floor(index / blocks);
      offsets[transposed] = group.minimum + centre * group.scale;
    }
    const target = index * 4 * bits;
    if (bits === 8) {
      for (let i = 0; i < BLOCK; i++) values[target + i] = (quants[i] ?? 0) + shift;
    } else {
      for (let i = 0; i < 16; i++) {
        const [low, high] = [(quants[2 * i] ?? 0) + shift, (quants[2 * i + 1] ?? 0) + shift];
        values[target + i] = low | (high << 4);
      }
    }
  }
  return { bits, rows, columns, values, scales, ...(offsets ? { offsets } : {}) };
}
