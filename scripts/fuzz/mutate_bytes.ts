import type { Draw } from "./draw.ts";
import type { Mutation } from "./target.ts";

/** Numbers that break arithmetic on lengths and offsets. */
export function hostileNumber(draw: Draw, fileSize: number): bigint {
  const size = BigInt(fileSize);
  return draw.pick<bigint>([
    0n,
    1n,
    2n,
    7n,
    255n,
    256n,
    65535n,
    size - 1n,
    size,
    size + 1n,
    size * 2n,
    2n ** 24n,
    2n ** 31n - 1n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 32n,
    2n ** 53n - 1n,
    2n ** 53n,
    2n ** 62n,
    2n ** 63n - 1n,
    2n ** 63n,
    2n ** 64n - 1n,
    2n ** 64n - 8n,
    BigInt(draw.below(2 ** 31)),
  ]);
}

/** A place in the file; its first kilobytes, where headers are, far more often than the rest. */
const place = (bytes: Uint8Array, draw: Draw) =>
  draw.below(4) === 0 ? draw.below(bytes.length) : draw.below(Math.min(bytes.length, 4096));

const range = (bytes: Uint8Array, draw: Draw) => {
  const from = place(bytes, draw);
  return [from, Math.min(bytes.length, from + 1 + draw.small(bytes.length))] as const;
};

/** Puts pieces one after the other. */
export function join(...pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

const randomBytes = (length: number, draw: Draw) =>
  Uint8Array.from({ length }, () => draw.below(256));

const truncate: Mutation = (whole, draw) => whole.slice(0, place(whole, draw));

const flipBits: Mutation = (whole, draw) => {
  const bytes = whole.slice();
  for (let flips = 1 + draw.below(8); flips > 0; flips--) {
    const at = place(bytes, draw);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << draw.below(8));
  }
  return bytes;
};

const hostileInteger: Mutation = (whole, draw) => {
  const bytes = whole.slice();
  const width = draw.pick([1, 2, 4, 8]);
  const at = place(bytes, draw);
  const value = hostileNumber(draw, whole.length);
  for (let i = 0; i < width && at + i < bytes.length; i++) {
    bytes[at + i] = Number((value >> BigInt(8 * i)) & 255n);
  }
  return bytes;
};

const fill: Mutation = (whole, draw) => {
  const bytes = whole.slice();
  const [from, to] = range(bytes, draw);
  return bytes.fill(draw.pick([0, 255, 0x7f, 0x22, 0x5b]), from, to);
};

const remove: Mutation = (whole, draw) => {
  const [from, to] = range(whole, draw);
  return join(whole.subarray(0, from), whole.subarray(to));
};

const insert: Mutation = (whole, draw) => {
  const at = place(whole, draw);
  return join(whole.subarray(0, at), randomBytes(1 + draw.small(4096), draw), whole.subarray(at));
};

const repeat: Mutation = (whole, draw) => {
  const [from, to] = range(whole, draw);
  return join(whole.subarray(0, to), whole.subarray(from, to), whole.subarray(to));
};

const move: Mutation = (whole, draw) => {
  const [from, to] = range(whole, draw);
  const bytes = whole.slice();
  bytes.copyWithin(place(whole, draw), from, to);
  return bytes;
};

const nothing: Mutation = (_whole, draw) => randomBytes(draw.small(64), draw);

/** Mutations that any file can suffer. */
export const BYTE_MUTATIONS: readonly [Mutation, ...Mutation[]] = [
  truncate,
  truncate,
  flipBits,
  flipBits,
  flipBits,
  hostileInteger,
  hostileInteger,
  hostileInteger,
  fill,
  remove,
  insert,
  repeat,
  move,
  nothing,
];
