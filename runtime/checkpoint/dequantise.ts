import type { TensorType } from "./checkpoint.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "./half.ts";
import { BLOCK_LAYOUTS } from "./tensor_types.ts";

/**
 * Widens stored weights to float32.
 *
 * @param type Format of `bytes`.
 * @param bytes Whole blocks, starting at an even byte of their buffer (4 bytes for F32).
 * @param into As many numbers as the blocks hold.
 * @throws {RangeError} If `bytes` does not hold exactly as many numbers as `into`.
 * @example Usage
 * ```ts
 * import { dequantise } from "./dequantise.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const into = new Float32Array(2);
 * dequantise("BF16", Uint8Array.of(0x80, 0x3f, 0x00, 0xc0), into);
 * assertEquals(into, Float32Array.of(1, -2));
 * ```
 */
export function dequantise(type: TensorType, bytes: Uint8Array, into: Float32Array): void {
  const layout = BLOCK_LAYOUTS[type];
  if (bytes.length * layout.elements !== into.length * layout.bytes) {
    throw new RangeError(
      `Cannot dequantise ${bytes.length} bytes of ${type} into ${into.length} numbers: ` +
        `${layout.elements} numbers take ${layout.bytes} bytes.`,
    );
  }
  const halves = () => new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  switch (type) {
    case "F32":
      return into.set(new Float32Array(bytes.buffer, bytes.byteOffset, into.length));
    case "F16":
      return float16ToFloat32(halves(), into);
    case "BF16":
      return bfloat16ToFloat32(halves(), into);
    case "Q8_0":
      return dequantiseQ8(bytes, scalesOf(bytes), into);
    case "Q4_0":
      return dequantiseQ4(bytes, scalesOf(bytes), into);
    case "Q4_1":
      return dequantiseQ4WithMinimum(bytes, scalesOf(bytes), into);
  }
}

/** Every second byte pair as a float16: block sizes are even, so scales are aligned. */
function scalesOf(bytes: Uint8Array): Float16Array {
  return new Float16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
}

/** Block: float16 d, 32 signed bytes q; x = d q. */
function dequantiseQ8(bytes: Uint8Array, scales: Float16Array, into: Float32Array): void {
  const quants = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let from = 0, to = 0; to < into.length; from += 34, to += 32) {
    const scale = scales[from / 2] ?? 0;
    for (let index = 0; index < 32; index++) {
      into[to + index] = scale * (quants[from + 2 + index] ?? 0);
    }
  }
}

/** Block: float16 d, 16 bytes; x = d (q - 8), low halves are the first 16 numbers. */
function dequantiseQ4(bytes: Uint8Array, scales: Float16Array, into: Float32Array): void {
  for (let from = 0, to = 0; to < into.length; from += 18, to += 32) {
    const scale = scales[from / 2] ?? 0;
    for (let index = 0; index < 16; index++) {
      const pair = bytes[from + 2 + index] ?? 0;
      into[to + index] = scale * ((pair & 15) - 8);
      into[to + 16 + index] = scale * ((pair >> 4) - 8);
    }
  }
}

/** Block: float16 d, float16 m, 16 bytes; x = d q + m, low halves are the first 16 numbers. */
function dequantiseQ4WithMinimum(
  bytes: Uint8Array,
  scales: Float16Array,
  into: Float32Array,
): void {
  for (let from = 0, to = 0; to < into.length; from += 20, to += 32) {
    const scale = scales[from / 2] ?? 0;
    const minimum = scales[from / 2 + 1] ?? 0;
    for (let index = 0; index < 16; index++) {
      const pair = bytes[from + 4 + index] ?? 0;
      into[to + index] = scale * (pair & 15) + minimum;
      into[to + 16 + index] = scale * (pair >> 4) + minimum;
    }
  }
}
