import type { CacheKernels } from "../../kernels/device/cache_kernels.ts";
import type { CacheElement } from "../../kernels/device/layer_buffers.ts";
import type { Device, DeviceTensor } from "../../kernels/device/device.ts";
import { DeviceError } from "../errors.ts";
import type { CacheShape } from "./bytes_per_token.ts";
import { checkKept, requireInteger } from "./cache_checks.ts";
import {
  bothOf,
  compactLayer,
  copyBuffers,
  createLayer,
  type DeviceLayer,
  freeLayer,
  growLayer,
  padded,
} from "./device_layer.ts";
import { dropLast, layerList, lengthsAt, longest, markedLayer } from "./layer_list.ts";
import type { DeviceKvCache, HeadEntries } from "./kv_cache.ts";
import { angleTables } from "../rotary/angle_tables.ts";

/** What a device cache works with. */
export interface DeviceCacheContext {
  readonly device: Device;
  readonly kernels: CacheKernels;
  /** Type of its numbers. */
  readonly element: CacheElement;
  /** Largest buffer of the device, in bytes; absent where there is no limit. */
  readonly maxBufferBytes?: number;
}

/** Slots that growth by itself makes at first. */
const FIRST_GROWTH = 16;

/**
 * A KV cache in the memory of a device: floats there, lengths and positions here.
 *
 * Buffers grow by a quarter at a time, or to what was reserved. A compaction leaves as many slots as
 * the longest head keeps; the old buffers go back layer by layer.
 *
 * @throws {RangeError} If a size is not a positive integer, or an argument does not fit the cache.
 * @throws {KvjudgeError} If the cache is used after its disposal.
 * @throws {DeviceError} If a layer's keys would be larger than the device's largest buffer.
 */
export function createDeviceCache(context: DeviceCacheContext, shape: CacheShape): DeviceKvCache {
  requireInteger("layers", shape.layers, 1);
  requireInteger("kvHeads", shape.kvHeads, 1);
  requireInteger("headDim", shape.headDim, 1);
  return deviceCache(
    context,
    shape,
    Array.from({ length: shape.layers }, () => createLayer(shape.kvHeads)),
  );
}

function deviceCache(
  context: DeviceCacheContext,
  shape: CacheShape,
  store: readonly DeviceLayer[],
): DeviceKvCache {
  const { device, kernels, element, maxBufferBytes = Infinity } = context;
  const { layers, kvHeads, headDim } = shape;
  const slotBytes = 2 * headDim * (element === "float16" ? 2 : 4) + Int32Array.BYTES_PER_ELEMENT;
  /** Keys of one slot, in all heads. */
  const keyBytes = kvHeads * headDim * (element === "float16" ? 2 : 4);
  const maxSlots = Math.floor(maxBufferBytes / keyBytes);
  const held = layerList(store, { free: freeLayer, marked: markedLayer, rollBack: dropLast });
  /** Slots that growth ends at, where they were reserved. */
  let reserved = 0;

  function checkFits(slots: number): void {
    if (slots <= maxSlots) return;
    throw new DeviceError(
      `Cannot hold ${slots} tokens on ${device.provider}: the keys of a layer would take ` +
        `${slots * keyBytes} bytes and its largest buffer is ${maxBufferBytes}, enough for ` +
        `${maxSlots} tokens; give a shorter text, or set 'device' to cpu`,
      { options: ["device"] },
    );
  }

  return {
    home: "device",
    layers,
    kvHeads,
    headDim,

    get bytes() {
      return store.reduce((sum, { capacity }) => sum + capacity, 0) * kvHeads * slotBytes;
    },

    window: () => undefined,

    length: (layer) => longest(held.at(layer)),
    lengths: (layer) => [...held.at(layer).lengths],
    capacity: (layer) => held.at(layer).capacity,

    positions(index) {
      const { lengths, positions } = held.at(index);
      return joined(positions.map((ofHead, head) => ofHead.subarray(0, lengths[head])));
    },

    buffers(index) {
      const { buffers } = held.at(index);
      if (buffers) return buffers;
      throw new RangeError(`Cannot reach the entries of layer ${index}: it holds none`);
    },

    reserve(tokens) {
      requireInteger("tokens", tokens, 0);
      const slots = Math.max(0, ...held.all().map(longest)) + tokens;
      checkFits(slots);
      reserved = slots;
    },

    async makeRoom(tokens) {
      for (const layer of held.all()) {
        const needed = longest(layer) + tokens;
        if (needed <= layer.capacity) continue;
        checkFits(needed);
        const generous = Math.max(needed, FIRST_GROWTH, Math.ceil(layer.capacity * 1.25));
        const grown = Math.min(generous, maxSlots);
        const slots = needed <= reserved ? Math.max(needed, Math.min(grown, reserved)) : grown;
        await growLayer(
          layer,
          slots,
          kernels,
          () => device.zeros([kvHeads, slots, headDim], element),
        );
      }
    },

    async fill(index, heads) {
      const layer = held.at(index);
      const lengths = heads.map(({ positions }) => positions.length);
      const capacity = Math.max(0, ...lengths);
      if (capacity === 0) return;
      const spread = (name: "keys" | "values"): Promise<DeviceTensor> => {
        const numbers = new Float32Array(kvHeads * capacity * headDim);
        heads.forEach((ofHead, head) => numbers.set(ofHead[name], head * capacity * headDim));
        return kernels.written(numbers, [kvHeads, capacity, headDim]);
      };
      layer.buffers = await bothOf(spread);
      const positions = heads.map((ofHead) => padded(ofHead.positions, capacity));
      layer.lengths = lengths;
      layer.capacity = capacity;
      layer.positions = positions;
    },

    commit(tokens, position) {
      for (const layer of held.all()) {
        layer.positions.forEach((ofHead, head) => {
          const from = layer.lengths[head] ?? 0;
          for (let token = 0; token < tokens; token++) ofHead[from + token] = position + token;
        });
        layer.lengths = layer.lengths.map((length) => length + tokens);
      }
    },

    async copied(index, which) {
      const { buffers } = held.at(index);
      return buffers ? await kernels.read(buffers[which]) : new Float32Array(0);
    },

    async entries(index) {
      const { lengths, positions, capacity } = held.at(index);
      const [keys, values] = [await this.copied(index, "keys"), await this.copied(index, "values")];
      return lengths.map((length, head): HeadEntries => {
        const from = head * capacity * headDim;
        return {
          keys: keys.slice(from, from + length * headDim),
          values: values.slice(from, from + length * headDim),
          positions: (positions[head] ?? new Int32Array(0)).slice(0, length),
        };
      });
    },

    async compact(index, kept) {
      const layer = held.at(index);
      checkKept(kept, kvHeads, layer.lengths);
      const lengths = kept.map(({ length }) => length);
      const capacity = Math.max(0, ...lengths);
      const whole = capacity === layer.capacity &&
        lengths.every((length, head) => length === layer.lengths[head]);
      if (!whole) await compactLayer(layer, kept, kernels);
    },

    async rerotate(index, rerotation) {
      const layer = held.at(index);
      const { buffers } = layer;
      if (!buffers) return;
      const { cos, sin } = angleTables(layer.positions, rerotation);
      using old = buffers.keys;
      layer.buffers = { ...buffers, keys: await kernels.rerotated(old, cos, sin) };
      rerotation.to.forEach((to, head) => layer.positions[head]?.set(to));
    },

    rollback: (mark) => held.rollback(mark),

    canRollBack: (mark) => held.canRollBack(mark),

    hold(mark) {
      held.check(mark, "hold a mark of");
      return new DisposableStack();
    },

    mark: () => held.mark(),

    async fork(mark) {
      const all = held.all();
      if (mark) held.check(mark, "fork");
      const copies = all.map((layer, index): DeviceLayer => ({
        lengths: lengthsAt(layer, mark?.lengths[index]),
        capacity: layer.capacity,
        positions: layer.positions.map((ofHead) => ofHead.slice()),
        buffers: layer.buffers,
      }));
      let copied = 0;
      try {
        for (const copy of copies) {
          await copyBuffers(copy, kernels);
          copied++;
        }
      } catch (error) {
        copies.slice(0, copied).forEach(freeLayer);
        throw error;
      }
      return deviceCache(context, shape, copies);
    },

    [Symbol.dispose]: () => held.free(),
  };
}

function joined(parts: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
