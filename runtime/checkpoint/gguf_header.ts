import { CheckpointError } from "../errors.ts";
import type { TensorLocation } from "./checkpoint.ts";
import { openRange, type RangeFile } from "./file_range.ts";

/** A metadata value. 64-bit integers that a number cannot hold stay `bigint`. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

/** A tensor as the file lists it. */
export interface GgufTensor extends Pick<TensorLocation, "shape" | "offset"> {
  /** GGUF name, such as `blk.0.attn_q.weight`. */
  readonly name: string;
  /** ggml's number of the format. */
  readonly type: number;
}

/** What a GGUF file says before its weights. */
export interface GgufHeader {
  /** By key. */
  readonly metadata: Readonly<Record<string, GgufValue>>;
  /** In the order of the file. */
  readonly tensors: readonly GgufTensor[];
  /** Bytes in the file. */
  readonly fileSize: number;
}

/** Far above any tokenizer in use; bounds what a hostile file can make us hold. */
const MAX_HEADER_BYTES = 128 * 1024 * 1024;
const MAX_ARRAY_ELEMENTS = 1 << 24;
const MAX_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 1 << 20;
const WINDOW_BYTES = 1 << 20;

/** Fewest bytes of a metadata entry (key length, type, one byte) and of a tensor entry. */
const MIN_ENTRY_BYTES = 13;
const MIN_TENSOR_BYTES = 24;

/** Whether a file starts as GGUF files do. */
export function startsAsGguf(path: string): boolean {
  using file = openRange(path);
  const start = new Uint8Array(Math.min(4, file.size));
  file.read(start, 0);
  return new TextDecoder().decode(start) === "GGUF";
}

/**
 * Reads the header of a GGUF file (version 2 or 3, little-endian). No weights are read.
 *
 * Own code, because `@huggingface/gguf` refuses local files inside a Worker, where inference runs,
 * and takes seconds and hundreds of megabytes over a 24-byte file that claims ten million tensors.
 * Here every count is checked against the bytes that are left before anything is read.
 *
 * @throws {CheckpointError} If the file is missing, truncated or not a valid GGUF file; names the file
 * and the problem.
 */
export function readGgufHeader(path: string): GgufHeader {
  using file = openRange(path);
  const cursor = cursorOver(file);
  const magic = file.size < 4 ? "" : cursor.text(4);
  if (magic !== "GGUF") return cursor.fail(`it does not start with "GGUF"`);
  const version = cursor.view(4).getUint32(0, true);
  if (version !== 2 && version !== 3) {
    return cursor.fail(
      (version & 0xffff) === 0
        ? "it is big-endian, and only little-endian files are supported"
        : `it has version ${version}, and only 2 and 3 are supported`,
    );
  }
  const tensorCount = cursor.count(MIN_TENSOR_BYTES, "tensors");
  const entryCount = cursor.count(MIN_ENTRY_BYTES, "metadata entries");
  const metadata = readMetadata(cursor, entryCount);
  const infos = readTensorInfos(cursor, tensorCount);
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (
    typeof alignment !== "number" || !Number.isInteger(alignment) || alignment < 1 ||
    alignment > MAX_ALIGNMENT
  ) {
    return cursor.fail(`its alignment is ${alignment}`);
  }
  const start = Math.ceil(cursor.position() / alignment) * alignment;
  const tensors = infos.map(({ offset, ...info }) => ({ ...info, offset: start + offset }));
  return { metadata: Object.fromEntries(metadata), tensors, fileSize: file.size };
}

/** Reads forward; asks for nothing that the file does not have. */
interface Cursor {
  position(): number;
  /** The next bytes, valid until the next call. */
  view(bytes: number): DataView;
  text(bytes: number): string;
  /** A length field of things that take at least `minBytes` bytes each. */
  count(minBytes: number, what: string): number;
  fail(problem: string): never;
}

function cursorOver(file: RangeFile): Cursor {
  let position = 0;
  let window = new Uint8Array(0);
  let windowStart = 0;
  const end = Math.min(file.size, MAX_HEADER_BYTES);
  const fail = (problem: string): never => {
    throw new CheckpointError(
      `Cannot read ${file.path} as GGUF: ${problem}; fetch or convert the file again.`,
    );
  };
  const next = (bytes: number): Uint8Array => {
    if (bytes > end - position) {
      fail(
        `its header needs ${bytes} bytes at byte ${position}, but ` +
          (end < file.size ? `headers may have ${end} at most` : `the file ends at ${end}`),
      );
    }
    if (position + bytes > windowStart + window.length) {
      window = new Uint8Array(Math.min(Math.max(bytes, WINDOW_BYTES), end - position));
      windowStart = position;
      file.read(window, position);
    }
    const from = position - windowStart;
    position += bytes;
    return window.subarray(from, from + bytes);
  };
  const view = (bytes: number) => {
    const { buffer, byteOffset } = next(bytes);
    return new DataView(buffer, byteOffset, bytes);
  };
  // A token may begin with the character that a byte order mark is.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    position: () => position,
    view,
    text: (bytes) => decoder.decode(next(bytes)),
    count(minBytes, what) {
      const count = view(8).getBigUint64(0, true);
      if (count > BigInt(Math.floor((end - position) / minBytes))) {
        fail(`it claims ${count} ${what} at byte ${position - 8}, but has ${file.size} bytes`);
      }
      return Number(count);
    },
    fail,
  };
}

function readMetadata(cursor: Cursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  const budget = { elements: MAX_ARRAY_ELEMENTS };
  for (let index = 0; index < count; index++) {
    const key = readText(cursor);
    if (metadata.has(key)) cursor.fail(`it has the metadata "${key}" twice`);
    const type = cursor.view(4).getUint32(0, true);
    metadata.set(
      key,
      type === ARRAY ? readArray(cursor, key, budget) : readScalar(cursor, type, key),
    );
  }
  return metadata;
}

const TEXT = 8;
const ARRAY = 9;

type Scalar = { readonly bytes: number; read(view: DataView): GgufValue };

/** By GGUF's number of the type. */
const SCALARS: ReadonlyMap<number, Scalar> = new Map<number, Scalar>([
  [0, { bytes: 1, read: (view) => view.getUint8(0) }],
  [1, { bytes: 1, read: (view) => view.getInt8(0) }],
  [2, { bytes: 2, read: (view) => view.getUint16(0, true) }],
  [3, { bytes: 2, read: (view) => view.getInt16(0, true) }],
  [4, { bytes: 4, read: (view) => view.getUint32(0, true) }],
  [5, { bytes: 4, read: (view) => view.getInt32(0, true) }],
  [6, { bytes: 4, read: (view) => view.getFloat32(0, true) }],
  [7, { bytes: 1, read: (view) => view.getUint8(0) !== 0 }],
  [10, { bytes: 8, read: (view) => narrowed(view.getBigUint64(0, true)) }],
  [11, { bytes: 8, read: (view) => narrowed(view.getBigInt64(0, true)) }],
  [12, { bytes: 8, read: (view) => view.getFloat64(0, true) }],
]);

function narrowed(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function readScalar(cursor: Cursor, type: number, key: string): GgufValue {
  if (type === TEXT) return readText(cursor);
  const scalar = SCALARS.get(type);
  if (!scalar) return cursor.fail(`the metadata "${key}" has the unknown type ${type}`);
  return scalar.read(cursor.view(scalar.bytes));
}

function readArray(cursor: Cursor, key: string, budget: { elements: number }): GgufValue {
  const type = cursor.view(4).getUint32(0, true);
  const minBytes = type === TEXT ? 8 : SCALARS.get(type)?.bytes;
  if (minBytes === undefined) {
    return cursor.fail(`the metadata "${key}" is a list of the unsupported type ${type}`);
  }
  const count = cursor.count(minBytes, `values of "${key}"`);
  budget.elements -= count;
  if (budget.elements < 0) {
    cursor.fail(`its metadata lists hold more than ${MAX_ARRAY_ELEMENTS} values`);
  }
  const values: GgufValue[] = [];
  for (let index = 0; index < count; index++) values.push(readScalar(cursor, type, key));
  return values;
}

function readText(cursor: Cursor): string {
  return cursor.text(cursor.count(1, "bytes of text"));
}

function readTensorInfos(cursor: Cursor, count: number): readonly GgufTensor[] {
  const infos = new Map<string, GgufTensor>();
  for (let index = 0; index < count; index++) {
    const name = readText(cursor);
    if (infos.has(name)) cursor.fail(`it lists tensor "${name}" twice`);
    const dimensions = cursor.view(4).getUint32(0, true);
    if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
      cursor.fail(`tensor "${name}" has ${dimensions} dimensions`);
    }
    const sizes = Array.from({ length: dimensions }, () => readSize(cursor, name));
    const type = cursor.view(4).getUint32(0, true);
    infos.set(name, { name, shape: sizes.reverse(), type, offset: readSize(cursor, name) });
  }
  return [...infos.values()];
}

function readSize(cursor: Cursor, name: string): number {
  const size = narrowed(cursor.view(8).getBigUint64(0, true));
  return typeof size === "number"
    ? size
    : cursor.fail(`tensor "${name}" has an impossible size or offset of ${size}`);
}
