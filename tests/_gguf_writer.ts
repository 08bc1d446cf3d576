/**
 * Writes GGUF files for tests: version 3, little-endian, with the number formats that we read.
 *
 * @module
 */
import type { TensorType } from "../runtime/checkpoint/checkpoint.ts";

/** A metadata value: whole numbers become u32, other numbers f32, lists take their first element's type. */
export type GgufMetadata = Readonly<
  Record<
    string,
    number | string | boolean | readonly number[] | readonly string[] | readonly boolean[]
  >
>;

export type GgufType = "F32" | "F16" | "BF16" | "Q8_0" | "Q4_0" | "Q4_1";

export interface GgufInput {
  /** GGUF name. */
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  readonly type: GgufType;
  readonly data: Float32Array;
}

/** A tensor whose blocks are made already. */
export interface GgufBlocks extends Pick<GgufInput, "name" | "shape"> {
  readonly type: TensorType;
  readonly blocks: Uint8Array;
}

const ALIGNMENT = 32;

/** ggml's numbers of the formats. */
const TYPE_NUMBERS: Readonly<Record<TensorType, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q2_K: 10,
  Q3_K: 11,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  IQ4_NL: 20,
  IQ4_XS: 23,
  BF16: 30,
};

/** The bytes of a GGUF file. */
export function encodeGguf(
  metadata: GgufMetadata,
  tensors: readonly (GgufInput | GgufBlocks)[],
): Uint8Array {
  const encoded = tensors.map((tensor) => ({
    ...tensor,
    bytes: "blocks" in tensor ? tensor.blocks : encodeType(tensor),
  }));
  const parts: Uint8Array[] = [
    new TextEncoder().encode("GGUF"),
    u32(3),
    u64(tensors.length),
    u64(Object.keys(metadata).length),
  ];
  for (const [key, value] of Object.entries(metadata)) {
    parts.push(text(key), ...metadataValue(value));
  }
  let offset = 0;
  for (const { name, shape, type, bytes } of encoded) {
    parts.push(text(name), u32(shape.length), ...[...shape].reverse().map(u64));
    parts.push(u32(TYPE_NUMBERS[type]), u64(offset));
    offset += padded(bytes.length);
  }
  const header = concat(parts);
  const file = new Uint8Array(padded(header.length) + offset);
  file.set(header);
  let start = padded(header.length);
  for (const { bytes } of encoded) {
    file.set(bytes, start);
    start += padded(bytes.length);
  }
  return file;
}

/** Rounds numbers to a format, with the scales that ggml's own reference quantisers choose. */
export function encodeType({ name, shape, type, data }: GgufInput): Uint8Array {
  const width = shape.at(-1) ?? 1;
  if (type.startsWith("Q") && width % 32 !== 0) {
    throw new RangeError(`${name}: rows of ${width} numbers do not divide into blocks of 32`);
  }
  switch (type) {
    case "F32":
      return bytesOf(data);
    case "F16":
      return bytesOf(new Float16Array(data));
    case "BF16":
      return bytesOf(Uint16Array.from(new Uint32Array(data.slice().buffer), roundToBfloat16));
    case "Q8_0":
      return blocks(data, quantiseQ8);
    case "Q4_0":
      return blocks(data, quantiseQ4);
    case "Q4_1":
      return blocks(data, quantiseQ4WithMinimum);
  }
}

function roundToBfloat16(bits: number): number {
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function blocks(data: Float32Array, encode: (block: Float32Array) => Uint8Array): Uint8Array {
  const encoded: Uint8Array[] = [];
  for (let from = 0; from < data.length; from += 32) {
    encoded.push(encode(data.subarray(from, from + 32)));
  }
  return concat(encoded);
}

function quantiseQ8(block: Float32Array): Uint8Array {
  const scale = Math.max(...block.map(Math.abs)) / 127;
  const quants = Int8Array.from(block, (x) => scale === 0 ? 0 : Math.round(x / scale));
  return concat([bytesOf(Float16Array.of(scale)), bytesOf(quants)]);
}

function quantiseQ4(block: Float32Array): Uint8Array {
  const extreme = block.reduce((a, b) => Math.abs(b) > Math.abs(a) ? b : a);
  const scale = extreme / -8;
  const quants = Array.from(block, (x) => scale === 0 ? 8 : clamp(Math.floor(x / scale + 8.5)));
  return concat([bytesOf(Float16Array.of(scale)), nibbles(quants)]);
}

function quantiseQ4WithMinimum(block: Float32Array): Uint8Array {
  const minimum = Math.min(...block);
  const scale = (Math.max(...block) - minimum) / 15;
  const quants = Array.from(
    block,
    (x) => scale === 0 ? 0 : clamp(Math.floor((x - minimum) / scale + 0.5)),
  );
  return concat([bytesOf(Float16Array.of(scale, minimum)), nibbles(quants)]);
}

function clamp(quant: number): number {
  return Math.min(15, Math.max(0, quant));
}

function nibbles(quants: readonly number[]): Uint8Array {
  return Uint8Array.from(
    { length: 16 },
    (_, i) => (quants[i] ?? 0) | ((quants[i + 16] ?? 0) << 4),
  );
}

function metadataValue(value: GgufMetadata[string]): Uint8Array[] {
  if (Array.isArray(value)) {
    const [type = u32(4)] = metadataValue(value[0] ?? 0);
    return [
      u32(9),
      type,
      u64(value.length),
      ...value.flatMap((element) => metadataValue(element).slice(1)),
    ];
  }
  if (typeof value === "string") return [u32(8), text(value)];
  if (typeof value === "boolean") return [u32(7), Uint8Array.of(value ? 1 : 0)];
  return Number.isInteger(value)
    ? [u32(4), u32(Number(value))]
    : [u32(6), bytesOf(Float32Array.of(Number(value)))];
}

function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return concat([u64(bytes.length), bytes]);
}

function u32(value: number): Uint8Array {
  return bytesOf(Uint32Array.of(value));
}

function u64(value: number): Uint8Array {
  return bytesOf(BigUint64Array.of(BigInt(value)));
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
