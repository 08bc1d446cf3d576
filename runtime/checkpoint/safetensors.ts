import { CheckpointError } from "../errors.ts";
import { openRange } from "./file_range.ts";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16 } from "./half.ts";
import { readSafetensors, type SafetensorsHeader } from "./safetensors_header.ts";

export {
  readSafetensors,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from "./safetensors_header.ts";

/** A tensor in memory. F16 and BF16 are widened to `Float32Array`, BOOL is 0 or 1. */
export interface SafetensorsTensor {
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  /** The elements, row-major. */
  readonly data: Float32Array | Int32Array | BigInt64Array | Uint8Array;
}

/** A tensor to write. */
export interface SafetensorsInput extends Pick<SafetensorsTensor, "shape"> {
  /** The elements, row-major; a `Uint16Array` holds the bits of BF16. */
  readonly data: SafetensorsTensor["data"] | Float16Array | Int8Array | Uint16Array;
  /**
   * Number format in the file. `F16` and `BF16` round a `Float32Array`, `BOOL` takes a `Uint8Array`.
   *
   * @default {the format of `data`: F32, F16, BF16, I32, I64, I8 or U8}
   */
  readonly dtype?: "F32" | "F16" | "BF16" | "I32" | "I64" | "I8" | "U8" | "BOOL";
}

/**
 * Reads one tensor of a safetensors file into memory: meant for small files such as soft tokens, not
 * for weights.
 *
 * @param header What {@linkcode readSafetensors} gave; read again if it is left out.
 * @throws {CheckpointError} If the file is damaged, lacks the tensor, or stores it in a format other
 * than F32, F16, BF16, I32, I64, U8 and BOOL.
 */
export function readTensor(
  path: string,
  name: string,
  { tensors }: SafetensorsHeader = readSafetensors(path),
): SafetensorsTensor {
  const entry = tensors.get(name);
  if (!entry) {
    throw new CheckpointError(
      `Cannot read tensor "${name}" of ${path}: the file has no such tensor, ` +
        `only ${listed([...tensors.keys()])}.`,
    );
  }
  const { dtype, shape, offset } = entry;
  using file = openRange(path);
  const bytes = new Uint8Array(entry.bytes);
  file.read(bytes, offset);
  const { buffer } = bytes;
  switch (dtype) {
    case "F32":
      return { shape, data: new Float32Array(buffer) };
    case "F16":
    case "BF16": {
      const bits = new Uint16Array(buffer);
      const data = new Float32Array(bits.length);
      (dtype === "F16" ? float16ToFloat32 : bfloat16ToFloat32)(bits, data);
      return { shape, data };
    }
    case "I32":
      return { shape, data: new Int32Array(buffer) };
    case "I64":
      return { shape, data: new BigInt64Array(buffer) };
    case "U8":
    case "BOOL":
      return { shape, data: bytes };
  }
  throw new CheckpointError(
    `Cannot read tensor "${name}" of ${path}: type ${dtype} is not supported, ` +
      "only F32, F16, BF16, I32, I64, U8 and BOOL.",
  );
}

/**
 * Like {@linkcode readTensor}, for a tensor that must hold floats (F32, F16 or BF16).
 *
 * @throws {CheckpointError} As {@linkcode readTensor}, and if the tensor holds integers.
 */
export function readFloats(
  path: string,
  name: string,
  header?: SafetensorsHeader,
): { readonly shape: readonly number[]; readonly data: Float32Array } {
  const { shape, data } = readTensor(path, name, header);
  if (data instanceof Float32Array) return { shape, data };
  throw new CheckpointError(
    `Cannot read tensor "${name}" of ${path}: it holds integers where F32, F16 or BF16 is needed.`,
  );
}

/**
 * Writes tensors to a safetensors file, first under a temporary name in the same folder, so that no
 * reader ever sees half a file.
 *
 * @param path File to create or replace; its folder must exist.
 * @param tensors By name. Elements must be as many as the shape says.
 * @param metadata Free text by key.
 * @throws {CheckpointError} If data, shape and format of a tensor do not fit together.
 * @example Usage
 * ```ts
 * import { readTensor, writeSafetensors } from "./safetensors.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const path = await Deno.makeTempFile();
 * await writeSafetensors(path, { x: { shape: [2], data: Float32Array.of(0.5, -1) } });
 * assertEquals(readTensor(path, "x").data, Float32Array.of(0.5, -1));
 * await Deno.remove(path);
 * ```
 */
export async function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, SafetensorsInput>>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const encoded = Object.entries(tensors)
    .map(([name, tensor]) => ({ name, shape: tensor.shape, ...encode(path, name, tensor) }))
    // Wide elements first, so that each tensor starts at a multiple of its element size.
    .sort((a, b) => b.align - a.align);
  let end = 0;
  const entries = encoded.map(({ name, dtype, shape, bytes }) =>
    [name, { dtype, shape, data_offsets: [end, end += bytes.length] }] as const
  );
  const header = Object.fromEntries(
    Object.keys(metadata).length > 0 ? [["__metadata__", metadata], ...entries] : entries,
  );
  const json = new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(json, 8);

  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    {
      using file = await Deno.open(temporary, { write: true, createNew: true });
      for (const bytes of [head, ...encoded.map(({ bytes }) => bytes)]) {
        for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
      }
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw new CheckpointError(
      `Cannot write ${path}: ${error instanceof Error ? error.message : error}.`,
      { cause: error },
    );
  }
}

function encode(
  path: string,
  name: string,
  { shape, data, dtype }: SafetensorsInput,
): { dtype: string; bytes: Uint8Array; align: number } {
  const natural = naturalType(data);
  const type = dtype ?? natural;
  const fits = type === natural || (natural === "F32" && (type === "F16" || type === "BF16")) ||
    (natural === "U8" && type === "BOOL");
  const elements = shape.reduce((product, size) => product * size, 1);
  if (!fits || elements !== data.length || name === "__metadata__") {
    throw new CheckpointError(
      `Cannot write tensor "${name}" to ${path}: ${data.length} elements of ${natural} ` +
        `do not make ${type} [${shape.join(", ")}].`,
    );
  }
  const stored = data instanceof Float32Array && type === "F16"
    ? new Float16Array(data)
    : data instanceof Float32Array && type === "BF16"
    ? float32ToBfloat16(data)
    : data;
  return {
    dtype: type,
    bytes: new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength),
    align: stored.BYTES_PER_ELEMENT,
  };
}

function naturalType(data: SafetensorsInput["data"]): NonNullable<SafetensorsInput["dtype"]> {
  if (data instanceof Float32Array) return "F32";
  if (data instanceof Float16Array) return "F16";
  if (data instanceof Uint16Array) return "BF16";
  if (data instanceof Int32Array) return "I32";
  if (data instanceof BigInt64Array) return "I64";
  return data instanceof Int8Array ? "I8" : "U8";
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 8).map((name) => `"${name}"`).join(", ");
  if (names.length === 0) return "none at all";
  return names.length > 8 ? `${shown} and ${names.length - 8} more` : shown;
}
