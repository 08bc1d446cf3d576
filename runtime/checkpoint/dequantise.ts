import { emptyGroup, GROUP_READERS, type QuantisedType } from "./block_groups.ts";
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
  switch (type) {
    case "F32":
      return into.set(new Float32Array(bytes.buffer, bytes.byteOffset, into.length));
    case "F16":
      return float16ToFloat32(halvesOf(bytes), into);
    case "BF16":
      return bfloat16ToFloat32(halvesOf(bytes), into);
    default:
      return dequantiseBlocks(type, bytes, into);
  }
}

function halvesOf(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
}

function dequantiseBlocks(type: QuantisedType, bytes: Uint8Array, into: Float32Array): void {
  const layout = BLOCK_LAYOUTS[type];
  const reader = GROUP_READERS[type];
  const block = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const group = emptyGroup();
  const groups = layout.elements / reader.size;
  for (let at = 0, to = 0; at < bytes.length; at += layout.bytes) {
    for (let index = 0; index < groups; index++, to += reader.size) {
      reader.read(block, at, index, group);
      const { quants, scale, minimum } = group;
      for (let i = 0; i < reader.size; i++) into[to + i] = scale * (quants[i] ?? 0) + minimum;
    }
  }
}
