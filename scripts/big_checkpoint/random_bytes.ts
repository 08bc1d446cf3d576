/** The bytes of a tensor, in pieces that follow each other. */
export type TensorBytes = Iterable<Uint8Array>;

/** Numbers in a tile. Odd, so that rows of a matrix are not cut from one place of it. */
const TILE = 2 ** 21 + 7;
/** Blocks of 32 in a tile. */
const BLOCKS = 2 ** 17 + 3;

const tiles = new Map<string, Uint8Array>();
/** Where the next tensor begins in its tile, so that tensors differ. */
let turn = 0;

/** Matrices of 16-bit floats, about as large as those of a trained model. */
export function f16Matrix(size: number, width: number): TensorBytes {
  return repeated(tile(`f16 ${width}`, () => f16Tile(1 / Math.sqrt(width))), 2, size * 2);
}

/** Matrices of Q4_0 blocks. */
export function q4Matrix(size: number, width: number): TensorBytes {
  return repeated(tile(`q4 ${width}`, () => q4Tile(1 / Math.sqrt(width))), 18, size / 32 * 18);
}

/** 16-bit ones. */
export function f16Ones(size: number): TensorBytes {
  return [new Uint8Array(new Float16Array(size).fill(1).buffer)];
}

/** 32-bit ones. */
export function f32Ones(size: number): TensorBytes {
  return [new Uint8Array(new Float32Array(size).fill(1).buffer)];
}

function tile(key: string, make: () => Uint8Array): Uint8Array {
  const made = tiles.get(key) ?? make();
  tiles.set(key, made);
  return made;
}

function* repeated(from: Uint8Array, unit: number, bytes: number): TensorBytes {
  turn += 1_000_003;
  let at = (turn % (from.length / unit)) * unit;
  for (let left = bytes; left > 0;) {
    const piece = from.subarray(at, Math.min(from.length, at + left));
    yield piece;
    left -= piece.length;
    at = 0;
  }
}

function f16Tile(deviation: number): Uint8Array {
  const next = uniform();
  // Even numbers of a spread with this deviation are as good as normal ones here, and faster.
  const spread = deviation * Math.sqrt(12);
  const numbers = Float16Array.from({ length: TILE }, () => (next() - 0.5) * spread);
  return new Uint8Array(numbers.buffer);
}

/** 1 to 15 about 8 have a deviation of 4.32. */
function q4Tile(deviation: number): Uint8Array {
  const next = uniform();
  const bytes = new Uint8Array(BLOCKS * 18);
  const view = new DataView(bytes.buffer);
  const nibble = () => 1 + Math.floor(next() * 15);
  for (let block = 0; block < BLOCKS; block++) {
    view.setFloat16(block * 18, deviation / 4.32 * (0.8 + 0.4 * next()), true);
    for (let at = 2; at < 18; at++) bytes[block * 18 + at] = nibble() | nibble() << 4;
  }
  return bytes;
}

/** Numbers from 0 to 1, the same ones each time. */
function uniform(): () => number {
  let state = 0x9e3779b9;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}
