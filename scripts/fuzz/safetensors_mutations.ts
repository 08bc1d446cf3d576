import { hostileNumber, join } from "./mutate_bytes.ts";
import { JSON_MUTATIONS } from "./mutate_json.ts";
import type { Mutation } from "./target.ts";

const LENGTH_BYTES = 8;

/** Header and data of a file; everything is header where the length makes no sense. */
export function split(whole: Uint8Array): readonly [header: Uint8Array, data: Uint8Array] {
  if (whole.length < LENGTH_BYTES) return [whole, new Uint8Array(0)];
  const length = new DataView(whole.buffer, whole.byteOffset).getBigUint64(0, true);
  const end = LENGTH_BYTES + Number(length < BigInt(whole.length) ? length : BigInt(whole.length));
  return [whole.subarray(LENGTH_BYTES, end), whole.subarray(end)];
}

/** A file with a right length of its header. */
export function framed(header: Uint8Array, data: Uint8Array): Uint8Array {
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
  return join(length, header, data);
}

/** Mutates the header's JSON and states its new length, so that the damage is read. */
const inHeader: Mutation = (whole, draw) => {
  const [header, data] = split(whole);
  return framed(draw.pick(JSON_MUTATIONS)(header, draw), data);
};

const hostileLength: Mutation = (whole, draw) => {
  const [header, data] = split(whole);
  const bytes = framed(header, data);
  const value = BigInt.asUintN(64, hostileNumber(draw, whole.length));
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
};

/** Moves, shrinks or stretches tensors, over one another and beyond the end. */
const hostileOffsets: Mutation = (whole, draw) => {
  const [header, data] = split(whole);
  const text = new TextDecoder().decode(header).replaceAll(
    /"data_offsets":\[(\d+),(\d+)\]/g,
    (entry, from: string, to: string) => {
      if (draw.below(3) > 0) return entry;
      const by = draw.pick([1, 4, -4, 64, Number(to), 2 ** 31, 2 ** 53]);
      return draw.pick([
        `"data_offsets":[${Number(from) + by},${Number(to) + by}]`,
        `"data_offsets":[${to},${from}]`,
        `"data_offsets":[${from},${Number(to) + by}]`,
        `"data_offsets":[0,${Number(to) - Number(from)}]`,
      ]);
    },
  );
  return framed(new TextEncoder().encode(text), data);
};

/** Weights at odd bytes, which is allowed. */
const misalign: Mutation = (whole, draw) => {
  const [header, data] = split(whole);
  return framed(join(header, new Uint8Array(draw.below(9)).fill(0x20)), data);
};

/** Mutations that know the frame of a safetensors file. */
export const SAFETENSORS_MUTATIONS: readonly Mutation[] = [
  inHeader,
  inHeader,
  inHeader,
  hostileLength,
  hostileOffsets,
  hostileOffsets,
  misalign,
];
