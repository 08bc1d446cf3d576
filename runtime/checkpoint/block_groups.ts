import type { TensorType } from "./checkpoint.ts";

/** Formats that come in blocks of whole numbers with scales. */
export type QuantisedType = Exclude<TensorType, "F32" | "F16" | "BF16">;

/** Numbers that share a scale: number `i` is `scale · quants[i] + minimum`. */
export interface BlockGroup {
  /** 32 places; a format with groups of 16 fills the first half. */
  readonly quants: Int8Array;
  scale: number;
  /** -0 for formats without, so that adding it never changes a number. */
  minimum: number;
}

/** How a format lays out its groups. */
export interface GroupReader {
  /** Numbers of a group: 16 or 32. */
  readonly size: number;
  /** Bits of a quant. */
  readonly bits: number;
  /** Groups have a minimum, and quants start at 0; otherwise they lie around 0. */
  readonly hasMinimum: boolean;
  /** Reads group `group` of the block that starts at byte `at`. */
  read(block: DataView, at: number, group: number, into: BlockGroup): void;
}

/** An empty group, to be read into again and again. */
export function emptyGroup(): BlockGroup {
  return { quants: new Int8Array(32), scale: 0, minimum: -0 };
}

/** The low halves of 16 bytes and then their high halves, less `zero`; `high` adds a fifth bit. */
function readNibbles(
  block: DataView,
  at: number,
  { quants }: BlockGroup,
  zero: number,
  high = 0,
): void {
  for (let i = 0; i < 16; i++) {
    const pair = block.getUint8(at + i);
    quants[i] = (pair & 15) + (((high >>> i) & 1) << 4) - zero;
    quants[i + 16] = (pair >> 4) + (((high >>> (i + 16)) & 1) << 4) - zero;
  }
}

/** Scale and minimum of a group of Q4_K and Q5_K: 6 bits each, packed into 12 bytes for 8 groups. */
function readPackedScales(block: DataView, at: number, group: number, into: BlockGroup): void {
  const byte = (index: number) => block.getUint8(at + 4 + index);
  const [scale, minimum] = group < 4 ? [byte(group) & 63, byte(group + 4) & 63] : [
    (byte(group + 4) & 15) | ((byte(group - 4) >> 6) << 4),
    (byte(group + 4) >> 4) | ((byte(group) >> 6) << 4),
  ];
  into.scale = block.getFloat16(at, true) * scale;
  into.minimum = -(block.getFloat16(at + 2, true) * minimum);
}

/** Scale of a group of Q3_K: 6 bits around 32, packed into 12 bytes for 16 groups. */
function packedScale3(block: DataView, at: number, group: number): number {
  const low = (block.getUint8(at + group % 8) >> (group < 8 ? 0 : 4)) & 15;
  const high = (block.getUint8(at + 8 + group % 4) >> (2 * Math.floor(group / 4))) & 3;
  return (low | (high << 4)) - 32;
}

interface SimpleLayout {
  readonly bits: 4 | 5;
  readonly hasMinimum: boolean;
  /** Replaces each number of 4 bits by one of these. */
  readonly choices?: readonly number[];
}

/** One group a block: scale, minimum if it has one, fifth bits if it has them, halves. */
function simpleBlock({ bits, hasMinimum, choices }: SimpleLayout): GroupReader {
  const fifthBits = hasMinimum ? 4 : 2;
  const halves = fifthBits + (bits === 5 ? 4 : 0);
  const zero = hasMinimum || choices ? 0 : 1 << (bits - 1);
  return {
    size: 32,
    bits: choices ? 8 : bits,
    hasMinimum,
    read(block, at, _group, into) {
      into.scale = block.getFloat16(at, true);
      if (hasMinimum) into.minimum = block.getFloat16(at + 2, true);
      const high = bits === 5 ? block.getUint32(at + fifthBits, true) : 0;
      readNibbles(block, at + halves, into, zero, high);
      if (choices) lookUp(into, choices);
    },
  };
}

/** Q4_K and Q5_K: scale, minimum, packed scales and minimums, fifth bits if it has them, halves. */
function packedBlock(bits: 4 | 5): GroupReader {
  const halves = bits === 5 ? 48 : 16;
  return {
    size: 32,
    bits,
    hasMinimum: true,
    read(block, at, group, into) {
      readPackedScales(block, at, group, into);
      const from = at + halves + 32 * Math.floor(group / 2);
      const shift = 4 * (group % 2);
      for (let i = 0; i < 32; i++) {
        const high = bits === 5 ? (block.getUint8(at + 16 + i) >> group) & 1 : 0;
        into.quants[i] = ((block.getUint8(from + i) >> shift) & 15) | (high << 4);
      }
    },
  };
}

/** The 16 numbers that IQ4 formats choose from. */
const CHOICES = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

function lookUp({ quants }: BlockGroup, choices: readonly number[]): void {
  for (let i = 0; i < 32; i++) quants[i] = choices[quants[i] ?? 0] ?? 0;
}

/** By format. Layouts are ggml's; offsets in the comments are bytes of a block. */
export const GROUP_READERS: Readonly<Record<QuantisedType, GroupReader>> = {
  // 0 scale, 2 quants
  Q8_0: {
    size: 32,
    bits: 8,
    hasMinimum: false,
    read(block, at, _group, into) {
      into.scale = block.getFloat16(at, true);
      for (let i = 0; i < 32; i++) into.quants[i] = block.getInt8(at + 2 + i);
    },
  },
  Q4_0: simpleBlock({ bits: 4, hasMinimum: false }),
  Q4_1: simpleBlock({ bits: 4, hasMinimum: true }),
  Q5_0: simpleBlock({ bits: 5, hasMinimum: false }),
  Q5_1: simpleBlock({ bits: 5, hasMinimum: true }),
  IQ4_NL: simpleBlock({ bits: 4, hasMinimum: false, choices: CHOICES }),
  Q4_K: packedBlock(4),
  Q5_K: packedBlock(5),
  // 0 scales and minimums in halves, 16 quants, 80 scale, 82 minimum
  Q2_K: {
    size: 16,
    bits: 2,
    hasMinimum: true,
    read(block, at, group, into) {
      const packed = block.getUint8(at + group);
      into.scale = block.getFloat16(at + 80, true) * (packed & 15);
      into.minimum = -(block.getFloat16(at + 82, true) * (packed >> 4));
      const from = at + 16 + 32 * Math.floor(group / 8) + 16 * (group % 2);
      const shift = 2 * (Math.floor(group / 2) % 4);
      for (let i = 0; i < 16; i++) into.quants[i] = (block.getUint8(from + i) >> shift) & 3;
    },
  },
  // 0 third bits, 32 quants, 96 scales, 108 scale
  Q3_K: {
    size: 16,
    bits: 3,
    hasMinimum: false,
    read(block, at, group, into) {
      into.scale = block.getFloat16(at + 108, true) * packedScale3(block, at + 96, group);
      const from = at + 32 + 32 * Math.floor(group / 8) + 16 * (group % 2);
      const shift = 2 * (Math.floor(group / 2) % 4);
      const third = at + 16 * (group % 2);
      for (let i = 0; i < 16; i++) {
        const high = (block.getUint8(third + i) >> Math.floor(group / 2)) & 1;
        into.quants[i] = ((block.getUint8(from + i) >> shift) & 3) - (high === 1 ? 0 : 4);
      }
    },
  },
  // 0 halves, 128 fifth and sixth bits, 192 scales, 208 scale
  Q6_K: {
    size: 16,
    bits: 6,
    hasMinimum: false,
    read(block, at, group, into) {
      into.scale = block.getFloat16(at + 208, true) * block.getInt8(at + 192 + group);
      const half = Math.floor(group / 8);
      const row = Math.floor(group / 2) % 4;
      const low = at + 64 * half + 32 * (row % 2) + 16 * (group % 2);
      const high = at + 128 + 32 * half + 16 * (group % 2);
      for (let i = 0; i < 16; i++) {
        const quant = (block.getUint8(low + i) >> (row < 2 ? 0 : 4)) & 15;
        into.quants[i] = (quant | (((block.getUint8(high + i) >> (2 * row)) & 3) << 4)) - 32;
      }
    },
  },
  // 0 scale, 2 high bits of the scales, 4 their low bits, 8 halves
  IQ4_XS: {
    size: 32,
    bits: 8,
    hasMinimum: false,
    read(block, at, group, into) {
      const low = (block.getUint8(at + 4 + (group >> 1)) >> (4 * (group % 2))) & 15;
      const high = (block.getUint16(at + 2, true) >> (2 * group)) & 3;
      into.scale = block.getFloat16(at, true) * ((low | (high << 4)) - 32);
      readNibbles(block, at + 8 + 16 * group, into, 0);
      lookUp(into, CHOICES);
    },
  },
};
