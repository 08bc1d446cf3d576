import {
  BLOCK,
  type BlockWeight,
  type FloatWeight,
  type Place,
  type Weight,
} from "../../kernels/weight.ts";
import { noise } from "../_close.ts";

/** A weight in a temporary file, and the matrix that it stands for. */
export interface StoredWeight<T> extends Disposable {
  readonly weight: T;
  /** `[rows, columns]`, in the order that products are to see. */
  readonly matrix: Float32Array;
}

/** Writes arrays one after the other, with gaps. */
function store(arrays: readonly ArrayBufferView[]): { places: Place[]; remove: () => void } {
  const file = Deno.makeTempFileSync();
  const gap = 48;
  const total = arrays.reduce((sum, { byteLength }) => sum + byteLength + gap, gap);
  const bytes = new Uint8Array(total);
  let offset = gap;
  const places = arrays.map(({ buffer, byteOffset, byteLength }) => {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), offset);
    const place = { file, offset, length: byteLength };
    offset += byteLength + gap;
    return place;
  });
  Deno.writeFileSync(file, bytes);
  return { places, remove: () => Deno.removeSync(file) };
}

/** Stores a float matrix; its numbers are exact in every type. */
export function storedFloats(
  type: FloatWeight["type"],
  rows: number,
  columns: number,
  interleavedHeads?: number,
): StoredWeight<FloatWeight> {
  const matrix = noise(rows * columns, 7).map((value) => Math.round(value * 64) / 32);
  const stored = interleavedHeads === undefined
    ? matrix
    : interleave(matrix, rows / interleavedHeads, columns);
  const data = type === "float32"
    ? stored
    : type === "float16"
    ? new Float16Array(stored)
    : Uint16Array.from(new Uint32Array(stored.slice().buffer), (bits) => bits >>> 16);
  const { places: [place], remove } = store([data]);
  if (!place) throw new Error("nothing was stored");
  return {
    weight: {
      kind: "float",
      type,
      rows,
      columns,
      place,
      ...(interleavedHeads === undefined ? {} : { interleavedHeads }),
    },
    matrix,
    [Symbol.dispose]: remove,
  };
}

/** Rows of each head from `[2, headDim / 2]` to `[headDim / 2, 2]`. */
function interleave(matrix: Float32Array, headDim: number, columns: number): Float32Array {
  const stored = new Float32Array(matrix.length);
  for (let row = 0; row < matrix.length / columns; row++) {
    const inHead = row % headDim;
    const target = row - inHead + (inHead * 2) % headDim + Math.floor(inHead * 2 / headDim);
    stored.set(matrix.subarray(row * columns, (row + 1) * columns), target * columns);
  }
  return stored;
}

/** Which parts a stored block weight has. */
export interface BlockParts {
  readonly bits: 4 | 8;
  readonly zeroPoints?: boolean;
  readonly offsets?: boolean;
}

/** Stores a matrix of blocks with random values, scales, zero points and offsets. */
export function storedBlocks(
  { bits, zeroPoints: withZeroPoints = false, offsets: withOffsets = false }: BlockParts,
  rows: number,
  columns: number,
): StoredWeight<BlockWeight> {
  const blocks = Math.ceil(columns / BLOCK);
  const top = 2 ** bits;
  const draw = (count: number, seed: number) =>
    Uint8Array.from(noise(count, seed), (value) => Math.min(top - 1, (value + 1) / 2 * top));
  const zeroPoints = withZeroPoints
    ? draw(rows * blocks, 2)
    : new Uint8Array(rows * blocks).fill(top / 2);
  const values = draw(rows * blocks * BLOCK, 1);
  for (let index = 0; index < values.length; index++) {
    // What fills up the last block must be zero.
    const inRow = index % (blocks * BLOCK);
    if (inRow >= columns) values[index] = zeroPoints[Math.floor(index / BLOCK)] ?? 0;
  }
  const scales = noise(rows * blocks, 3).map((value) => (1 + value / 2) / top);
  const offsets = noise(rows * blocks, 4);
  const matrix = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const inRow = Math.floor(column / BLOCK);
      const block = row * blocks + inRow;
      const value = values[block * BLOCK + column % BLOCK] ?? NaN;
      matrix[row * columns + column] =
        (scales[block] ?? NaN) * (value - (zeroPoints[block] ?? NaN)) +
        (withOffsets ? offsets[inRow * rows + row] ?? NaN : 0);
    }
  }
  const packed = bits === 8 ? values : pack(values);
  const { places, remove } = store([packed, scales, zeroPoints, offsets]);
  const [atValues, atScales, atZeroPoints, atOffsets] = places;
  if (!atValues || !atScales || !atZeroPoints || !atOffsets) throw new Error("nothing was stored");
  return {
    weight: {
      kind: "blocks",
      bits,
      rows,
      columns,
      values: atValues,
      scales: atScales,
      ...(withZeroPoints ? { zeroPoints: atZeroPoints } : {}),
      ...(withOffsets ? { offsets: atOffsets } : {}),
    },
    matrix,
    [Symbol.dispose]: remove,
  };
}

/** Two neighbours to a byte, the first in the low half. */
function pack(values: Uint8Array): Uint8Array {
  return Uint8Array.from(
    { length: values.length / 2 },
    (_, index) => (values[2 * index] ?? 0) | ((values[2 * index + 1] ?? 0) << 4),
  );
}

/** `[S, columns] × [rows, columns]ᵀ` in double precision. */
export function product(input: Float32Array, matrix: Float32Array, columns: number): Float64Array {
  const [tokens, rows] = [input.length / columns, matrix.length / columns];
  const result = new Float64Array(tokens * rows);
  for (let token = 0; token < tokens; token++) {
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let column = 0; column < columns; column++) {
        sum += (input[token * columns + column] ?? NaN) * (matrix[row * columns + column] ?? NaN);
      }
      result[token * rows + row] = sum;
    }
  }
  return result;
}

/** The numbers of a float32 weight as they lie in its file, `[rows, columns]`. */
export function readFloatWeight(weight: Weight): Float32Array {
  if (weight.kind !== "float" || weight.type !== "float32") throw new Error("not float32");
  const { file, offset, length } = weight.place;
  return new Float32Array(Deno.readFileSync(file).slice(offset, offset + length).buffer);
}
