import type { DeviceTensor } from "./device.ts";

/** What is counted of the tensors that are held. */
export interface HeldCounts {
  tensors: number;
  bytes: number;
}

/**
 * A tensor that is counted until it is disposed of.
 *
 * @param release Gives its memory back, once.
 */
export function countedTensor(
  { type, dims, bytes }: Pick<DeviceTensor, "type" | "dims" | "bytes">,
  counts: HeldCounts,
  release: (tensor: DeviceTensor) => void,
): DeviceTensor {
  counts.tensors++;
  counts.bytes += bytes;
  let disposed = false;
  const tensor: DeviceTensor = {
    type,
    dims,
    bytes,
    [Symbol.dispose]() {
      if (disposed) return;
      disposed = true;
      counts.tensors--;
      counts.bytes -= bytes;
      release(tensor);
    },
  };
  return tensor;
}
