import type { CacheKernels } from "../../kernels/device/cache_kernels.ts";
import type { LayerBuffers } from "../../kernels/device/layer_buffers.ts";
import type { DeviceTensor } from "../../kernels/device/device.ts";

/** One layer of a cache on a device: buffers there, lengths and positions here. */
export interface DeviceLayer {
  lengths: number[];
  capacity: number;
  /** Absent while there is no slot. */
  buffers: LayerBuffers | undefined;
  /** Of each KV head, as many as it has slots. */
  positions: Int32Array[];
}

/** A layer that holds nothing. */
export function createLayer(kvHeads: number): DeviceLayer {
  return {
    lengths: new Array<number>(kvHeads).fill(0),
    capacity: 0,
    buffers: undefined,
    positions: Array.from({ length: kvHeads }, () => new Int32Array(0)),
  };
}

/** Gives a layer more slots. */
export async function growLayer(
  layer: DeviceLayer,
  capacity: number,
  kernels: CacheKernels,
  zeros: () => Promise<DeviceTensor>,
): Promise<void> {
  if (layer.buffers) await replaceBuffers(layer, (old) => kernels.grown(old, capacity));
  else layer.buffers = await bothOf(zeros);
  layer.positions = layer.positions.map((old) => padded(old, capacity));
  layer.capacity = capacity;
}

/** Keeps only some slots of each head, and frees the buffers that held them all. */
export async function compactLayer(
  layer: DeviceLayer,
  kept: readonly Int32Array[],
  kernels: CacheKernels,
): Promise<void> {
  const lengths = kept.map(({ length }) => length);
  const capacity = Math.max(0, ...lengths);
  if (layer.buffers && capacity > 0) {
    const slots = keptSlots(kept, capacity);
    await replaceBuffers(layer, (old) => kernels.gather(old, slots));
  } else {
    freeLayer(layer);
  }
  layer.positions = kept.map((indices, head) =>
    padded(Int32Array.from(indices, (slot) => layer.positions[head]?.[slot] ?? 0), capacity)
  );
  layer.lengths = lengths;
  layer.capacity = capacity;
}

/** Gives a layer buffers of its own in place of those that it shares. */
export async function copyBuffers(layer: DeviceLayer, kernels: CacheKernels): Promise<void> {
  if (!layer.buffers) return;
  const { buffers } = layer;
  layer.buffers = await bothOf((which) => kernels.copied(buffers[which]));
}

/** Makes keys, then values. Where the second cannot be made, the first are freed. */
export async function bothOf(
  make: (which: keyof LayerBuffers) => Promise<DeviceTensor>,
): Promise<LayerBuffers> {
  const keys = await make("keys");
  try {
    return { keys, values: await make("values") };
  } catch (error) {
    keys[Symbol.dispose]();
    throw error;
  }
}

/** Puts other buffers in the place of a layer's. Where they cannot be made, all stays as it was. */
async function replaceBuffers(
  layer: DeviceLayer,
  make: (old: LayerBuffers) => Promise<LayerBuffers>,
): Promise<void> {
  const { buffers } = layer;
  if (!buffers) return;
  layer.buffers = await make(buffers);
  freeBuffers(buffers);
}

/** Gives the device memory of a layer back. */
export function freeLayer(layer: DeviceLayer): void {
  if (layer.buffers) freeBuffers(layer.buffers);
  layer.buffers = undefined;
  layer.capacity = 0;
  layer.lengths = layer.lengths.map(() => 0);
}

function freeBuffers({ keys, values }: LayerBuffers): void {
  keys[Symbol.dispose]();
  values[Symbol.dispose]();
}

/** Slots of each KV head, `[kvHeads, capacity]`; heads that keep less repeat slot 0. */
function keptSlots(kept: readonly Int32Array[], capacity: number): Int32Array {
  const slots = new Int32Array(kept.length * capacity);
  kept.forEach((indices, head) => slots.set(indices, head * capacity));
  return slots;
}

/** Numbers with zeros behind them, or without those at the end. */
export function padded(values: Int32Array, length: number): Int32Array {
  const longer = new Int32Array(length);
  longer.set(values.subarray(0, length));
  return longer;
}
