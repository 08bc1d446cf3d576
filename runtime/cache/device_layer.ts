import type { CacheKernels } from "../../kernels/device/cache_kernels.ts";
import type { DeviceTensor } from "../../kernels/device/device.ts";
import type { LayerBuffers } from "./kv_cache.ts";

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
  await replaceBuffers(layer, (old) => old ? kernels.grown(old, capacity) : zeros());
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
    const pairs = slotPairs(kept, capacity);
    const { keys } = layer.buffers;
    await replaceBuffers(layer, (old) => kernels.gather(old ?? keys, pairs));
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
  const { keys, values } = layer.buffers;
  const made = await kernels.copied(keys);
  try {
    layer.buffers = { keys: made, values: await kernels.copied(values) };
  } catch (error) {
    made[Symbol.dispose]();
    throw error;
  }
}

/** Puts other buffers in the place of a layer's. Where one cannot be made, all stays as it was. */
export async function replaceBuffers(
  layer: DeviceLayer,
  make: (old: DeviceTensor | undefined) => Promise<DeviceTensor>,
): Promise<void> {
  const { buffers } = layer;
  const keys = await make(buffers?.keys);
  try {
    layer.buffers = { keys, values: await make(buffers?.values) };
  } catch (error) {
    keys[Symbol.dispose]();
    throw error;
  }
  buffers?.keys[Symbol.dispose]();
  buffers?.values[Symbol.dispose]();
}

/** Gives the device memory of a layer back. */
export function freeLayer(layer: DeviceLayer): void {
  layer.buffers?.keys[Symbol.dispose]();
  layer.buffers?.values[Symbol.dispose]();
  layer.buffers = undefined;
  layer.capacity = 0;
  layer.lengths = layer.lengths.map(() => 0);
}

/** Slots that the head that holds most fills. */
export function longest({ lengths }: { readonly lengths: readonly number[] }): number {
  return Math.max(0, ...lengths);
}

/** What each head held when the longest held so many tokens: appending adds to all alike. */
export function lengthsAt(layer: DeviceLayer, length = longest(layer)): number[] {
  const dropped = longest(layer) - length;
  return layer.lengths.map((ofHead) => ofHead - dropped);
}

/** Pairs of KV head and slot, `[kvHeads, capacity]`; heads that keep less repeat their first slot. */
function slotPairs(kept: readonly Int32Array[], capacity: number): Int32Array {
  const pairs = new Int32Array(kept.length * capacity * 2);
  kept.forEach((indices, head) => {
    for (let slot = 0; slot < capacity; slot++) {
      const at = (head * capacity + slot) * 2;
      pairs[at] = head;
      pairs[at + 1] = indices[slot] ?? 0;
    }
  });
  return pairs;
}

/** Numbers with zeros behind them, or without those at the end. */
export function padded(values: Int32Array, length: number): Int32Array {
  const longer = new Int32Array(length);
  longer.set(values.subarray(0, length));
  return longer;
}
