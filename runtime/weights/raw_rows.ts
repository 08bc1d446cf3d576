import type { TensorLocation } from "../checkpoint/checkpoint.ts";
import { openRange } from "../checkpoint/file_range.ts";

/**
 * Reads rows of a matrix as they are stored, in Hugging Face order.
 *
 * @param from The first one. Of interleaved heads, one with which a head begins.
 * @param to One past the last one, with which a head ends. @default {the number of rows}
 */
export function readRawRows(
  tensor: TensorLocation,
  from = 0,
  to: number = tensor.shape[0] ?? 1,
): Uint8Array {
  const [rows = 1] = tensor.shape;
  const stride = tensor.bytes / rows;
  const bytes = new Uint8Array((to - from) * stride);
  using file = openRange(tensor.file);
  file.read(bytes, tensor.offset + from * stride);
  if (tensor.interleavedHeads === undefined) return bytes;
  const headDim = rows / tensor.interleavedHeads;
  const half = headDim / 2;
  const ordered = new Uint8Array(bytes.length);
  for (let row = 0; row < to - from; row++) {
    const inHead = row % headDim;
    const source = row - inHead + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1);
    ordered.set(bytes.subarray(source * stride, (source + 1) * stride), row * stride);
  }
  return ordered;
}
