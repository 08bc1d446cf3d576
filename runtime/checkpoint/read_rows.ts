import type { TensorLocation } from "./checkpoint.ts";
import { dequantise } from "./dequantise.ts";
import { openRange, type RangeFile } from "./file_range.ts";
import { BLOCK_LAYOUTS, elementsOf } from "./tensor_types.ts";

/** Which rows to read. */
export interface RowRange {
  /** First row, along the outermost dimension. @default {0} */
  readonly from?: number;
  /** One past the last row. @default {the number of rows} */
  readonly to?: number;
}

/** Numbers that are decoded at a time: bounds the raw bytes held beside the result. */
const BATCH = 1 << 18;

/**
 * Reads rows of a tensor as float32, in Hugging Face order: quantised formats are widened and the
 * interleaving of {@linkcode TensorLocation.interleavedHeads} is undone, and what norms lack is added. Only the bytes of the rows
 * (for interleaved tensors: of the heads that they belong to) are read.
 *
 * @param tensor Where the tensor lies. A row is `shape[0]`'s unit: one element of a vector.
 * @param range Rows to read; all of them if it is left out.
 * @returns `[to - from, ...shape.slice(1)]`, row-major.
 * @throws {CheckpointError} If the file is gone or too short.
 * @throws {RangeError} If the range does not lie in the tensor.
 */
export function readRows(tensor: TensorLocation, range: RowRange = {}): Float32Array {
  const rows = tensor.shape[0] ?? 1;
  const { from = 0, to = rows } = range;
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to > rows || from > to) {
    throw new RangeError(
      `Cannot read rows ${from} to ${to} of ${tensor.name}: it has ${rows} rows.`,
    );
  }
  const width = elementsOf(tensor.shape.slice(1));
  const rowsRead = new Float32Array((to - from) * width);
  using file = openRange(tensor.file);
  if (tensor.interleavedHeads === undefined) {
    readElements(file, tensor, from * width, rowsRead);
  } else {
    readInterleaved(
      file,
      tensor,
      { from, to, width, headDim: rows / tensor.interleavedHeads },
      rowsRead,
    );
  }
  const { offsetBy } = tensor;
  return offsetBy === undefined ? rowsRead : rowsRead.map((value) => value + offsetBy);
}

interface HeadRange extends Required<RowRange> {
  readonly width: number;
  readonly headDim: number;
}

/** Reads head by head and puts each row where Hugging Face has it. */
function readInterleaved(
  file: RangeFile,
  tensor: TensorLocation,
  { from, to, width, headDim }: HeadRange,
  into: Float32Array,
): void {
  const stored = new Float32Array(headDim * width);
  for (let first = from - from % headDim; first < to; first += headDim) {
    readElements(file, tensor, first * width, stored);
    for (let row = Math.max(from, first); row < Math.min(to, first + headDim); row++) {
      const source = storedRow(row - first, headDim) * width;
      into.set(stored.subarray(source, source + width), (row - from) * width);
    }
  }
}

/** Row of a head in the file, `[headDim / 2, 2]`, for its row in Hugging Face order, `[2, headDim / 2]`. */
function storedRow(row: number, headDim: number): number {
  const half = headDim / 2;
  return row < half ? 2 * row : 2 * (row - half) + 1;
}

/** Fills `into` with the stored numbers from number `start` on. */
function readElements(
  file: RangeFile,
  { type, offset }: TensorLocation,
  start: number,
  into: Float32Array,
): void {
  const block = BLOCK_LAYOUTS[type];
  const end = start + into.length;
  const maxBlocks = Math.ceil(Math.min(BATCH, into.length) / block.elements) + 1;
  const raw = new Uint8Array(maxBlocks * block.bytes);
  for (let at = start; at < end;) {
    const firstBlock = Math.floor(at / block.elements);
    const skipped = at - firstBlock * block.elements;
    const stop = Math.min(end, at + BATCH - skipped);
    const blocks = Math.ceil(stop / block.elements) - firstBlock;
    const bytes = raw.subarray(0, blocks * block.bytes);
    file.read(bytes, offset + firstBlock * block.bytes);
    const target = into.subarray(at - start, stop - start);
    if (target.length === blocks * block.elements) {
      dequantise(type, bytes, target);
    } else {
      const whole = new Float32Array(blocks * block.elements);
      dequantise(type, bytes, whole);
      target.set(whole.subarray(skipped, skipped + target.length));
    }
    at = stop;
  }
}
