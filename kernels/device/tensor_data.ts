import type { ElementType } from "../onnx/graph.ts";
import { narrowed } from "../session.ts";

const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  float32: 4,
  int32: 4,
  int64: 8,
  float16: 2,
  uint8: 1,
  int8: 1,
  bool: 1,
};

/** Bytes of a tensor. */
export function bytesOf(
  { type, dims }: { readonly type: string; readonly dims: readonly number[] },
): number {
  return dims.reduce((product, size) => product * size, ELEMENT_BYTES[type] ?? 4);
}

/**
 * An output as 32-bit floats.
 *
 * @throws {TypeError} If it holds something else.
 */
export function floatsIn(data: unknown, name: string, kernel: string): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new TypeError(`Cannot read '${name}' of ${kernel} as float32`);
}

/**
 * An output as whole numbers.
 *
 * @throws {TypeError} If it holds something else.
 */
export function integersIn(data: unknown, name: string, kernel: string): Int32Array {
  if (data instanceof BigInt64Array) return narrowed(data);
  if (data instanceof Int32Array) return data;
  throw new TypeError(`Cannot read '${name}' of ${kernel} as whole numbers`);
}

/** Numbers as they come from a device; types without an array of their own stay bytes. */
export type Numbers = Float32Array | Int32Array | BigInt64Array | Uint8Array;

/** The numbers in bytes of a type. */
export function numbersIn(
  bytes: Uint8Array<ArrayBuffer>,
  type: ElementType,
): Numbers {
  if (type === "float32") return new Float32Array(bytes.buffer);
  if (type === "int32") return new Int32Array(bytes.buffer);
  if (type === "int64") return new BigInt64Array(bytes.buffer);
  return bytes;
}
