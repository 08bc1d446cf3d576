import { allocate, release } from "./memory.ts";

/** How the numbers of a cache at rest are held. */
export type CachePrecision = "fp32" | NarrowPrecision;

/** Precisions that take less memory than what steps compute with. */
export type NarrowPrecision = "fp16" | "int8";

/** All of them, for those who choose. */
export const CACHE_PRECISIONS = ["fp32", "fp16", "int8"] as const;

/** Keys or values in few bits: rows of `headDim` numbers each, one behind the other. */
export interface NarrowRows {
  readonly precision: NarrowPrecision;
  /** The numbers; of `int8` those of rotated rows. */
  readonly numbers: Float16Array<ArrayBuffer> | Int8Array<ArrayBuffer>;
  /** Scales of `int8`, the upper halves of 32-bit floats, one for each group; none of `fp16`. */
  readonly scales: Uint16Array<ArrayBuffer>;
}

/** Numbers that share a scale, at most. */
const MOST_IN_GROUP = 32;

/** The largest number that 16 bits hold. */
const MOST_HALF = 65504;

/** Sizes of narrow rows. */
export interface NarrowSizes {
  /** Bytes of the numbers. */
  readonly numberBytes: number;
  /** Scales of a row. */
  readonly groups: number;
}

/** What rows of a head size take. */
export function narrowSizes(precision: NarrowPrecision, headDim: number): NarrowSizes {
  if (precision === "fp16") return { numberBytes: headDim * 2, groups: 0 };
  return { numberBytes: headDim, groups: headDim / groupOf(headDim) };
}

/** Memory for narrow rows. */
export function narrowSpace(
  precision: NarrowPrecision,
  rows: number,
  headDim: number,
): NarrowRows {
  const { numberBytes, groups } = narrowSizes(precision, headDim);
  const memory = allocate(rows * numberBytes);
  return {
    precision,
    numbers: precision === "fp16" ? new Float16Array(memory) : new Int8Array(memory),
    scales: new Uint16Array(allocate(rows * groups * 2)),
  };
}

/**
 * Rounds rows.
 *
 * `int8`: a row is rotated by a Walsh–Hadamard transform, which spreads outlying channels over all (as
 * QuaRot does, https://arxiv.org/abs/2404.00456), then each 32 of its numbers share a scale. Rows that
 * were rounded before stay as they are, to the bit.
 *
 * @param rows `[rows, headDim]`.
 */
export function narrowed(
  rows: Float32Array,
  headDim: number,
  precision: NarrowPrecision,
): NarrowRows {
  const into = narrowSpace(precision, rows.length / headDim, headDim);
  const { numbers, scales } = into;
  if (numbers instanceof Float16Array) {
    numbers.set(rows);
    if (numbers.some((value) => !Number.isFinite(value))) {
      numbers.set(rows.map((value) => Math.max(-MOST_HALF, Math.min(MOST_HALF, value))));
    }
    return into;
  }
  const group = groupOf(headDim);
  const block = blockOf(headDim);
  const rotated = new Float32Array(headDim);
  const floats = new Float32Array(1);
  const bits = new Uint32Array(floats.buffer);
  let scaleAt = 0;
  for (let from = 0; from < rows.length; from += headDim) {
    rotated.set(rows.subarray(from, from + headDim));
    rotate(rotated, block);
    for (let start = 0; start < headDim; start += group) {
      let max = 0;
      for (let at = start; at < start + group; at++) {
        max = Math.max(max, Math.abs(rotated[at] ?? 0));
      }
      floats[0] = max / 127;
      // Rounded to the nearest that 16 bits say: a product with a number is exact then.
      const half = ((bits[0] ?? 0) + 0x8000) >>> 16;
      scales[scaleAt++] = half;
      bits[0] = half << 16;
      const inverse = max > 0 ? 1 / (floats[0] ?? 1) : 0;
      for (let at = start; at < start + group; at++) {
        const number = Math.round((rotated[at] ?? 0) * inverse);
        numbers[from + at] = Math.max(-127, Math.min(127, number));
      }
    }
  }
  return into;
}

/** Writes rows out as 32-bit floats. */
export function widen(
  { numbers, scales }: NarrowRows,
  headDim: number,
  into: Float32Array,
): void {
  if (numbers instanceof Float16Array) return into.set(numbers.subarray(0, into.length));
  const group = groupOf(headDim);
  const block = blockOf(headDim);
  const floats = new Float32Array(1);
  const bits = new Uint32Array(floats.buffer);
  let scaleAt = 0;
  for (let from = 0; from < into.length; from += headDim) {
    for (let start = from; start < from + headDim; start += group) {
      bits[0] = (scales[scaleAt++] ?? 0) << 16;
      const scale = floats[0] ?? 0;
      for (let at = start; at < start + group; at++) into[at] = (numbers[at] ?? 0) * scale;
    }
    rotate(into.subarray(from, from + headDim), block);
  }
}

/** The first rows, as a copy. */
export function copyNarrow(rows: NarrowRows, count: number, headDim: number): NarrowRows {
  const copy = narrowSpace(rows.precision, count, headDim);
  const { numbers, scales } = copy;
  numbers.set(rows.numbers.subarray(0, numbers.length));
  scales.set(rows.scales.subarray(0, scales.length));
  return copy;
}

/** Gives the memory of narrow rows back. */
export function releaseNarrow({ numbers, scales }: NarrowRows): void {
  release(numbers.buffer);
  release(scales.buffer);
}

/** Bytes of narrow rows. */
export function narrowBytes({ numbers, scales }: NarrowRows): number {
  return numbers.byteLength + scales.byteLength;
}

/** The largest power of two that divides a head size. */
function blockOf(headDim: number): number {
  return headDim & -headDim;
}

function groupOf(headDim: number): number {
  return Math.min(MOST_IN_GROUP, blockOf(headDim));
}

/** The normalised Walsh–Hadamard transform of each block of a row, in place: it is its own inverse. */
function rotate(row: Float32Array, block: number): void {
  const { length } = row;
  for (let half = 1; half < block; half *= 2) {
    for (let start = 0; start < length; start += 2 * half) {
      for (let at = start; at < start + half; at++) {
        const [a, b] = [row[at] ?? 0, row[at + half] ?? 0];
        row[at] = a + b;
        row[at + half] = a - b;
      }
    }
  }
  const factor = 1 / Math.sqrt(block);
  for (let at = 0; at < length; at++) row[at] = (row[at] ?? 0) * factor;
}
