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

/** Formats whose blocks the kernels multiply without rounding them again. */
export type ExactType = "Q8_0" | "Q4_0" | "Q4_1";

const HEADER = { Q8_0: 2, Q4_0: 2, Q4_1: 4 } as const;

/**
 * Takes ggml blocks apart without changing a weight: `d·q` (Q8_0), `d·(q − 8)` (Q4_0) and, for Q4_1,
 * `d·q + m` as `d·(q − 8)` with the offset `m + 8·d`.
 *
 * @param bytes Whole rows of blocks, `[rows, columns / 32]`.
 */
export function exactBlocks(
  type: ExactType,
  bytes: Uint8Array,
  rows: number,
  columns: number,
): Blocks {
  const blocks = columns / BLOCK;
  const header = HEADER[type];
  const halves = new Float16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const bits = type === "Q8_0" ? 8 : 4;
  const stride = header + 4 * bits;
  const values = new Uint8Array(rows * blocks * 4 * bits);
  const scales = new Float32Array(rows * blocks);
  const offsets = type === "Q4_1" ? new Float32Array(rows * blocks) : undefined;
  for (let index = 0; index < rows * blocks; index++) {
    const from = index * stride;
    const scale = halves[from / 2] ?? 0;
    scales[index] = scale;
    if (offsets) {
      const transposed = (index % blocks) * rows + Math.floor(index / blocks);
      offsets[transposed] = (halves[from / 2 + 1] ?? 0) + 8 * scale;
    }
    const source = from + header;
    const target = index * 4 * bits;
    if (bits === 8) copyBytes(bytes, source, values, target);
    else copyNibbles(bytes, source, values, target);
  }
  return { bits, rows, columns, values, scales, ...(offsets ? { offsets } : {}) };
}

// Signed bytes become unsigned ones around 128.
function copyBytes(bytes: Uint8Array, source: number, values: Uint8Array, target: number): void {
  for (let i = 0; i < BLOCK; i++) values[target + i] = (bytes[source + i] ?? 0) ^ 0x80;
}

// ggml keeps columns 0–15 in the low halves and 16–31 in the high ones; the kernels want neighbours.
function copyNibbles(bytes: Uint8Array, source: number, values: Uint8Array, target: number): void {
  for (let i = 0; i < 8; i++) {
    const first = bytes[source + 2 * i] ?? 0;
    const second = bytes[source + 2 * i + 1] ?? 0;
    values[target + i] = (first & 15) | ((second & 15) << 4);
    values[target + 8 + i] = (first >> 4) | (second & 0xf0);
  }
}

/** Puts matrices of the same columns and kind below one another. */
export function stackBlocks(parts: readonly Blocks[]): Blocks {
  const [first] = parts;
  if (!first) throw new TypeError("Cannot stack no blocks");
  if (parts.length === 1) return first;
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const zeroPoints = parts.flatMap((part) => part.zeroPoints ?? []);
  const offsets = parts.flatMap((part) => part.offsets ?? []);
  return {
    bits: first.bits,
    rows,
    columns: first.columns,
    values: concatenate(Uint8Array, parts.map((part) => part.values)),
    scales: concatenate(Float32Array, parts.map((part) => part.scales)),
    ...(zeroPoints.length > 0 ? { zeroPoints: concatenate(Uint8Array, zeroPoints) } : {}),
    ...(offsets.length > 0 ? { offsets: sideBySide(parts, offsets, rows) } : {}),
  };
}

function concatenate<T extends Uint8Array | Float32Array>(
  type: new (length: number) => T,
  arrays: readonly T[],
): T {
  const all = new type(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    all.set(array, at);
    at += array.length;
  }
  return all;
}

function sideBySide(
  parts: readonly Blocks[],
  offsets: readonly Float32Array[],
  rows: number,
): Float32Array {
  const blocks = (offsets[0]?.length ?? 0) / (parts[0]?.rows ?? 1);
  const all = new Float32Array(rows * blocks);
  for (let block = 0; block < blocks; block++) {
    let at = block * rows;
    parts.forEach((part, index) => {
      const from = block * part.rows;
      all.set(offsets[index]?.subarray(from, from + part.rows) ?? [], at);
      at += part.rows;
    });
  }
  return all;
}
