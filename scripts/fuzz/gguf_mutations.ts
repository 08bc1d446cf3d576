import type { Draw } from "./draw.ts";
import { type GgufField, ggufLayout } from "./gguf_layout.ts";
import { hostileNumber, join } from "./mutate_bytes.ts";
import type { Mutation } from "./target.ts";

const ENTRY_COUNT = 16;
const TENSOR_COUNT = 8;

const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
const u64 = (value: bigint) => new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, value)).buffer);
const text = (value: string) => {
  const bytes = new TextEncoder().encode(value);
  return join(u64(BigInt(bytes.length)), bytes);
};

/** A count, length, type, size or offset becomes another one. */
const hostileField: Mutation = (whole, draw) => {
  // Lengths of texts are by far the most.
  const wanted = draw.pick<GgufField["kind"]>(["count", "length", "type", "size", "offset"]);
  const fields = ggufLayout(whole)?.fields.filter((field) => field.kind === wanted) ?? [];
  const [first, ...others] = fields;
  if (!first) return whole;
  const { kind, at, width } = draw.pick([first, ...others]);
  const bytes = whole.slice();
  const hostile = kind === "type" ? BigInt(draw.below(40)) : hostileNumber(draw, whole.length);
  const value = draw.below(3) === 0 ? near(whole, at, width, draw) : hostile;
  bytes.set(u64(value).subarray(0, width), at);
  return bytes;
};

/** What stands there, and a little more or less. */
function near(whole: Uint8Array, at: number, width: number, draw: Draw): bigint {
  const view = new DataView(whole.buffer, whole.byteOffset);
  const value = width === 4 ? BigInt(view.getUint32(at, true)) : view.getBigUint64(at, true);
  return value + draw.pick([1n, -1n, 32n, -32n, value, -value]);
}

const withCount = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  view.setBigUint64(at, view.getBigUint64(at, true) + 1n, true);
  return copy;
};

/** Metadata that keeps its promises about lengths. */
function hostileEntry(draw: Draw): Uint8Array {
  const depth = draw.pick([2, 100, 50_000]);
  const nested = Array.from({ length: depth }, () => join(u32(9), u64(1n)));
  const count = draw.pick([0, 1, 100_000]);
  return draw.pick([
    join(
      text("general.alignment"),
      u32(4),
      u32(Number(BigInt.asUintN(32, hostileNumber(draw, 0)))),
    ),
    join(text("deep"), u32(9), ...nested, u32(0), u64(0n)),
    join(text("long"), u32(9), u32(0), u64(BigInt(count)), new Uint8Array(count)),
    join(text("empty texts"), u32(9), u32(8), u64(BigInt(count)), new Uint8Array(8 * count)),
    join(text("__proto__"), u32(8), text("x")),
    join(text("k".repeat(count)), u32(8), text("\u001b[2J".repeat(count / 10))),
    join(text("llama.rope.scaling.type"), u32(8), text(draw.pick(["linear", "yarn", ""]))),
    join(text("split.count"), u32(10), u64(hostileNumber(draw, 0))),
  ]);
}

const addEntry: Mutation = (whole, draw) => {
  const [from] = ggufLayout(whole)?.entries[0] ?? [];
  if (from === undefined) return whole;
  const counted = withCount(whole, ENTRY_COUNT);
  return join(counted.subarray(0, from), hostileEntry(draw), counted.subarray(from));
};

/** Names metadata or a tensor twice; the weights move on, as in a file that was written so. */
const repeatEntry: Mutation = (whole, draw) => {
  const layout = ggufLayout(whole);
  const [list, count] = draw.pick([
    [layout?.entries ?? [], ENTRY_COUNT] as const,
    [layout?.tensors ?? [], TENSOR_COUNT] as const,
  ]);
  const [from = 0, to = 0] = list[draw.below(list.length)] ?? [];
  if (to === 0) return whole;
  const counted = withCount(whole, count);
  return join(counted.subarray(0, to), counted.subarray(from));
};

/** Lays one tensor over another. */
const overlap: Mutation = (whole, draw) => {
  const offsets = ggufLayout(whole)?.fields.filter(({ kind }) => kind === "offset") ?? [];
  const [one, two] = [offsets[draw.below(offsets.length)], offsets[draw.below(offsets.length)]];
  if (!one || !two) return whole;
  const bytes = whole.slice();
  bytes.set(whole.subarray(two.at, two.at + 8), one.at);
  return bytes;
};

/** Mutations that know where the header of a GGUF file has its numbers. */
export const GGUF_MUTATIONS: readonly Mutation[] = [
  hostileField,
  hostileField,
  hostileField,
  hostileField,
  addEntry,
  addEntry,
  repeatEntry,
  overlap,
];
