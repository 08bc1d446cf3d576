import type { TensorLocation } from "../checkpoint/checkpoint.ts";
import { type Blocks, quantiseBlocks } from "./blocks.ts";
import { readRows } from "../checkpoint/read_rows.ts";
import { exactBlocks } from "./exact_blocks.ts";
import { isHeldExactly } from "./holding.ts";
import { readRawRows } from "./raw_rows.ts";

/** Numbers that are converted at a time: 16 MB of floats. */
const PIECE = 2 ** 22;

/**
 * Matrices below one another in blocks, some rows at a time.
 *
 * @param lookedUp Name of the embedding matrix.
 * @param most Numbers that are converted at a time; a row, or a head where these are interleaved, is the
 * least. @default {16 MB of floats}
 */
export function* blockPieces(
  tensors: readonly TensorLocation[],
  precision: "int8" | "int4",
  lookedUp: string,
  most: number = PIECE,
): Generator<Blocks> {
  for (const tensor of tensors) {
    const columns = tensor.shape[1] ?? 1;
    for (const [from, to] of rowRanges(tensor, most)) {
      yield isHeldExactly(tensor, precision, tensor.name === lookedUp)
        ? exactBlocks(tensor.type, readRawRows(tensor, from, to), to - from, columns)
        : quantiseBlocks(readRows(tensor, { from, to }), to - from, columns);
    }
  }
}

/** Matrices below one another in floats, some rows at a time. */
export function* floatPieces(
  tensors: readonly TensorLocation[],
  most: number = PIECE,
): Generator<Float32Array> {
  for (const tensor of tensors) {
    for (const [from, to] of rowRanges(tensor, most)) yield readRows(tensor, { from, to });
  }
}

/** Ranges of rows, of whole heads where these lie interleaved. */
function* rowRanges(
  { shape: [rows = 1, columns = 1], interleavedHeads }: TensorLocation,
  most: number,
): Generator<readonly [from: number, to: number]> {
  const unit = interleavedHeads === undefined ? 1 : rows / interleavedHeads;
  const step = Math.max(1, Math.floor(most / columns / unit)) * unit;
  for (let from = 0; from < rows; from += step) yield [from, Math.min(rows, from + step)];
}
