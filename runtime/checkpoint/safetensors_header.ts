import { CheckpointError } from "../errors.ts";
import { shown } from "./fields.ts";
import type { TensorLocation } from "./checkpoint.ts";
import { openRange, type RangeFile } from "./file_range.ts";
import { isRecord } from "./read_json.ts";

/** Bits per element of the number formats that a safetensors file can hold. */
const SAFETENSORS_BITS: Readonly<Record<string, number>> = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  U16: 16,
  I16: 16,
  U32: 32,
  I32: 32,
  U64: 64,
  I64: 64,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F16: 16,
  BF16: 16,
  F32: 32,
  F64: 64,
  C64: 64,
};

/** Where one tensor lies in a safetensors file. */
export interface SafetensorsEntry extends Pick<TensorLocation, "shape" | "offset" | "bytes"> {
  /** Number format, such as `F32`. */
  readonly dtype: string;
}

/** What the header of a safetensors file says. */
export interface SafetensorsHeader {
  /** Free text by key. */
  readonly metadata: Readonly<Record<string, string>>;
  /** By name, in the order of the header. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
}

/** The reference implementation refuses longer headers too. */
const MAX_HEADER_BYTES = 100_000_000;
const LENGTH_BYTES = 8;

/**
 * Reads the header of a safetensors file: what it holds and where. No tensor is read.
 *
 * Every entry that is returned lies inside the file, overlaps no other, and has as many bytes as its
 * shape and format need.
 *
 * @throws {CheckpointError} If the file is missing, truncated or not a valid safetensors file; names
 * the file and the problem.
 */
export function readSafetensors(path: string): SafetensorsHeader {
  using file = openRange(path);
  const fail = (problem: string): never => {
    throw new CheckpointError(
      `Cannot read ${path} as safetensors: ${problem}; fetch or export the file again.`,
    );
  };
  const length = headerLength(file, fail);
  const bytes = new Uint8Array(length);
  file.read(bytes, LENGTH_BYTES);
  const header = parseHeader(bytes, fail);
  const start = LENGTH_BYTES + length;
  const tensors = new Map<string, SafetensorsEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") metadata = parseMetadata(value, fail);
    else tensors.set(name, parseEntry(name, value, start, file.size, fail));
  }
  refuseOverlaps(tensors, fail);
  return { metadata, tensors };
}

type Fail = (problem: string) => never;

function headerLength(file: RangeFile, fail: Fail): number {
  if (file.size < LENGTH_BYTES) fail(`it has only ${file.size} bytes`);
  const bytes = new Uint8Array(LENGTH_BYTES);
  file.read(bytes, 0);
  const length = new DataView(bytes.buffer).getBigUint64(0, true);
  const limit = Math.min(MAX_HEADER_BYTES, file.size - LENGTH_BYTES);
  if (length > BigInt(limit)) {
    fail(
      `its header claims ${length} bytes where at most ${limit} fit ` +
        `(the file has ${file.size} bytes)`,
    );
  }
  return Number(length);
}

function parseHeader(bytes: Uint8Array, fail: Fail): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    header = JSON.parse(text);
  } catch {
    return fail("its header is not valid JSON");
  }
  if (!isRecord(header)) return fail("its header is not a JSON object");
  const repeated = firstRepeatedKey(text);
  if (repeated !== undefined) fail(`its header names "${repeated}" twice`);
  return header;
}

/** `JSON.parse` silently keeps the last of two equal keys. Expects the text of a JSON object. */
function firstRepeatedKey(json: string): string | undefined {
  const seen = new Set<string>();
  const colon = /\s*:/y;
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") depth--;
    else if (character === '"') {
      const from = at++;
      while (json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
      colon.lastIndex = at + 1;
      if (depth !== 1 || !colon.test(json)) continue;
      const key: string = JSON.parse(json.slice(from, at + 1));
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return undefined;
}

function parseMetadata(value: unknown, fail: Fail): Record<string, string> {
  if (!isRecord(value)) return fail("its __metadata__ is not an object");
  const metadata: Record<string, string> = {};
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") return fail(`its __metadata__ entry "${key}" is not text`);
    Object.defineProperty(metadata, key, { value: text, enumerable: true });
  }
  return metadata;
}

function parseEntry(
  name: string,
  value: unknown,
  start: number,
  fileSize: number,
  fail: Fail,
): SafetensorsEntry {
  if (!isRecord(value)) return fail(`the entry of tensor "${name}" is not an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(SAFETENSORS_BITS, dtype)) {
    return fail(`tensor "${name}" has the unknown type ${shown(dtype)}`);
  }
  if (!isCounts(shape)) return fail(`tensor "${name}" has no valid shape`);
  if (!isCounts(offsets) || offsets.length !== 2) {
    return fail(`tensor "${name}" has no valid data_offsets`);
  }
  const [from = 0, to = 0] = offsets;
  if (to < from || start + to > fileSize) {
    fail(
      `tensor "${name}" lies at bytes ${start + from} to ${start + to}, ` +
        `but the file has ${fileSize} bytes`,
    );
  }
  const bits = shape.reduce((product, size) => product * size, SAFETENSORS_BITS[dtype] ?? 0);
  if (bits !== (to - from) * 8) {
    fail(
      `tensor "${name}" (${dtype} [${shape.join(", ")}]) needs ${Math.ceil(bits / 8)} bytes ` +
        `but has ${to - from}`,
    );
  }
  return { dtype, shape, offset: start + from, bytes: to - from };
}

function refuseOverlaps(tensors: ReadonlyMap<string, SafetensorsEntry>, fail: Fail): void {
  const sorted = [...tensors].filter(([, { bytes }]) => bytes > 0)
    .sort(([, a], [, b]) => a.offset - b.offset);
  let end = 0;
  let last = "";
  for (const [name, { offset, bytes }] of sorted) {
    if (offset < end) fail(`tensors "${last}" and "${name}" overlap`);
    end = offset + bytes;
    last = name;
  }
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}
