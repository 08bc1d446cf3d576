import type { TensorLocation } from "../checkpoint/checkpoint.ts";
import { openRange } from "../checkpoint/file_range.ts";

/** Reads a matrix as it is stored, its rows in Hugging Face order. */
export function readRawRows(tensor: TensorLocation): Uint8Array {
  const [rows = 1] = tensor.shape;
  const bytes = new Uint8Array(tensor.bytes);
  using file = openRange(tensor.file);
  file.read(bytes, tensor.offset);
  if (tensor.interleavedHeads === undefined) return bytes;
  const stride = tensor.bytes / rows;
  const headDim = rows / tensor.interleavedHeads;
  const ordered = new Uint8Array(tensor.bytes);
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim;
    const half = headDim / 2;
    const source = row - inHead + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1);
    ordered.set(bytes.subarray(source * stride, (source + 1) * stride), row * stride);
  }
  return ordered;
}
