import type { CacheKernels } from "../../kernels/device/cache_kernels.ts";
import type { CacheElement } from "../../kernels/device/layer_buffers.ts";
import type { Device, DeviceTensor } from "../../kernels/device/device.ts";
import { DeviceError } from "../errors.ts";
import {
  type AnyDeviceLayer,
  buffersOf,
  capacityOf,
  freeAnyLayer,
  isSliding,
  lengthOf,
  lengthsOf,
  markedOf,
  positionsOf,
  rollBackLayer,
  slotsOf,
  storedOf,
} from "./any_device_layer.ts";
import type { CacheShape } from "./bytes_per_token.ts";
import { cannotSetValues, checkKept, requireInteger } from "./cache_checks.ts";
import {
  bothOf,
  compactLayer,
  copyBuffers,
  createLayer,
  type DeviceLayer,
  growLayer,
  padded,
} from "./device_layer.ts";
import {
  commitToSliding,
  copyDeviceSliding,
  createDeviceSliding,
  fillDeviceSliding,
  holdDevice,
  roomInSliding,
  settleSliding,
  shiftDevice,
  type SlidingWays,
  storedPositions,
} from "./device_sliding_layer.ts";
import { grownCapacity, GROWTH } from "./growth.ts";
import { createHold } from "./holds.ts";
import { layerList, lengthsAt, longest } from "./layer_list.ts";
import type { DeviceKvCache, HeadEntries } from "./kv_cache.ts";
import { type CacheWindows, checkWindows, DEFAULT_SLACK } from "./windows.ts";
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

/**
 * Slots that are taken behind those that were reserved: soft tokens and the beginning of an answer then
 * find room without another copy of a whole prompt.
 */
const SPARE = 256;

/** Layers that grow in one run: more would wait less, and hold more of them twice. */
const GROWN_TOGETHER = 8;

/** What {@linkcode createDeviceCache} makes. */
export interface DeviceCacheShape extends CacheShape, CacheWindows {}

/**
 * A KV cache in the memory of a device: floats there, lengths and positions here.
 *
 * Buffers grow by a quarter at a time, or to what was reserved and a little more. A compaction leaves as many slots as
 * the longest head keeps; the old buffers go back layer by layer. A layer with a window takes the memory
 * of its window and a little more, and of the tokens of one step.
 *
 * @throws {RangeError} If a size is not a positive integer, or an argument does not fit the cache.
 * @throws {KvjudgeError} If the cache is used after its disposal.
 * @throws {DeviceError} If a layer's keys would be larger than the device's largest buffer.
 */
export function createDeviceCache(
  context: DeviceCacheContext,
  { windows, slack = DEFAULT_SLACK, ...shape }: DeviceCacheShape,
): DeviceKvCache {
  requireInteger("layers", shape.layers, 1);
  requireInteger("kvHeads", shape.kvHeads, 1);
  requireInteger("headDim", shape.headDim, 1);
  checkWindows({ windows, slack }, shape.layers);
  const store = Array.from({ length: shape.layers }, (_, index): AnyDeviceLayer => {
    const window = windows?.[index];
    return window === undefined ? createLayer(shape.kvHeads) : createDeviceSliding(window, slack);
  });
  return deviceCache(context, shape, store);
}

function deviceCache(
  context: DeviceCacheContext,
  shape: CacheShape,
  store: readonly AnyDeviceLayer[],
): DeviceKvCache {
  const { device, kernels, element, maxBufferBytes = Infinity } = context;
  const { layers, kvHeads, headDim } = shape;
  const slotBytes = 2 * headDim * (element === "float16" ? 2 : 4) + Int32Array.BYTES_PER_ELEMENT;
  /** Keys of one slot, in all heads. */
  const keyBytes = kvHeads * headDim * (element === "float16" ? 2 : 4);
  const maxSlots = Math.floor(maxBufferBytes / keyBytes);
  const held = layerList(store, {
    free: freeAnyLayer,
    marked: markedOf,
    rollBack: rollBackLayer,
  });
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

  const zeros = (slots: number) => device.zeros([kvHeads, slots, headDim], element);
  const ways: SlidingWays = {
    kernels,
    kvHeads,
    empty: (capacity) => bothOf(() => zeros(capacity)),
  };

  async function makeRoom(layer: DeviceLayer, tokens: number): Promise<void> {
    const needed = longest(layer) + tokens;
    if (needed <= layer.capacity) return;
    checkFits(needed);
    const generous = Math.max(needed, grownCapacity(layer.capacity, GROWTH.device));
    const grown = Math.min(generous, maxSlots);
    const ends = Math.min(reserved + SPARE, maxSlots);
    // Where what was reserved is reached, the spare slots come along.
    const reached = reserved > 0 && needed <= ends && Math.max(needed, grown) > reserved - SPARE;
    const slots = reached ? ends : grown;
    await growLayer(layer, slots, kernels, () => zeros(slots));
  }

  return {
    home: "device",
    layers,
    kvHeads,
    headDim,

    get bytes() {
      return store.reduce((sum, layer) => sum + slotsOf(layer), 0) * kvHeads * slotBytes;
    },

    window(index) {
      const layer = held.at(index);
      return isSliding(layer) ? layer.window : undefined;
    },

    length: (index) => lengthOf(held.at(index)),
    lengths: (index) => lengthsOf(held.at(index), kvHeads),
    stored: (index) => storedOf(held.at(index), kvHeads),
    capacity: (index) => capacityOf(held.at(index)),
    positions: (index) => positionsOf(held.at(index), kvHeads),

    buffers(index) {
      const buffers = buffersOf(held.at(index));
      if (buffers) return buffers;
      throw new RangeError(`Cannot reach the entries of layer ${index}: it holds none`);
    },

    reserve(tokens) {
      requireInteger("tokens", tokens, 0);
      const global = held.all().flatMap((layer) => isSliding(layer) ? [] : [longest(layer)]);
      const slots = Math.max(0, ...global) + tokens;
      if (global.length > 0) checkFits(slots);
      reserved = slots;
    },

    async makeRoom(tokens) {
      const all = held.all();
      for (let from = 0; from < all.length; from += GROWN_TOGETHER) {
        const group = all.slice(from, from + GROWN_TOGETHER).map((layer) =>
          isSliding(layer) ? roomInSliding(layer, tokens, reserved, ways) : makeRoom(layer, tokens)
        );
        // All have ended before one that failed is told of: they use what the caller may free then.
        for (const settled of await Promise.allSettled(group)) {
          if (settled.status === "rejected") throw settled.reason;
        }
      }
    },

    async fill(index, heads, given) {
      const layer = held.at(index);
      const lengths = heads.map(({ positions }) => positions.length);
      const capacity = Math.max(0, ...lengths);
      if (capacity === 0) {
        if (isSliding(layer)) layer.end = given ?? 0;
        return;
      }
      const spread = (name: "keys" | "values"): Promise<DeviceTensor> => {
        const numbers = new Float32Array(kvHeads * capacity * headDim);
        heads.forEach((ofHead, head) => numbers.set(ofHead[name], head * capacity * headDim));
        return kernels.written(numbers, [kvHeads, capacity, headDim]);
      };
      const buffers = await bothOf(spread);
      const positions = heads.map((ofHead) => padded(ofHead.positions, capacity));
      if (isSliding(layer)) {
        const [first = new Int32Array(0)] = positions;
        fillDeviceSliding(layer, buffers, first, given ?? capacity);
        return;
      }
      layer.buffers = buffers;
      layer.lengths = lengths;
      layer.capacity = capacity;
      layer.positions = positions;
    },

    commit(tokens, position) {
      for (const layer of held.all()) {
        if (isSliding(layer)) {
          commitToSliding(layer, tokens, position);
          continue;
        }
        layer.positions.forEach((ofHead, head) => {
          const from = layer.lengths[head] ?? 0;
          for (let token = 0; token < tokens; token++) ofHead[from + token] = position + token;
        });
        layer.lengths = layer.lengths.map((length) => length + tokens);
      }
    },

    async copied(index, which) {
      const layer = held.at(index);
      if (isSliding(layer)) await settleSliding(layer, ways);
      const buffers = buffersOf(layer);
      return buffers ? await kernels.read(buffers[which]) : new Float32Array(0);
    },

    async entries(index, spare = false) {
      const layer = held.at(index);
      const [keys, values] = [await this.copied(index, "keys"), await this.copied(index, "values")];
      const stored = storedOf(layer, kvHeads);
      const lengths = spare ? stored : lengthsOf(layer, kvHeads);
      const capacity = capacityOf(layer);
      return lengths.map((length, head): HeadEntries => {
        const from = head * capacity + (stored[head] ?? 0) - length;
        return {
          keys: keys.slice(from * headDim, (from + length) * headDim),
          values: values.slice(from * headDim, (from + length) * headDim),
          positions: isSliding(layer)
            ? storedPositions(layer, length)
            : (layer.positions[head] ?? new Int32Array(0)).slice(0, length),
        };
      });
    },

    async compact(index, kept) {
      const layer = held.at(index);
      const now = lengthsOf(layer, kvHeads);
      checkKept(kept, kvHeads, now);
      const lengths = kept.map(({ length }) => length);
      const same = lengths.every((length, head) => length === now[head]);
      if (!isSliding(layer)) {
        const capacity = Math.max(0, ...lengths);
        if (capacity !== layer.capacity || !same) await compactLayer(layer, kept, kernels);
      } else if (!same) {
        throw new RangeError(
          `Cannot compact layer ${index} of the KV cache: it slides, and keeps the last ` +
            `${layer.window - 1} tokens whatever is evicted elsewhere`,
        );
      }
    },

    setValues(index, values) {
      const layer = held.at(index);
      if (isSliding(layer)) throw cannotSetValues(index);
      const { buffers, capacity } = layer;
      const sizes = [kvHeads, capacity, headDim];
      if (!buffers || sizes.some((size, axis) => values.dims[axis] !== size)) {
        throw new RangeError(
          `Cannot set the values of layer ${index} of the KV cache: it has [${sizes.join(", ")}] ` +
            `numbers, got [${values.dims.join(", ")}]`,
        );
      }
      using _old = buffers.values;
      layer.buffers = { ...buffers, values };
    },

    async rerotate(index, rerotation) {
      const layer = held.at(index);
      if (isSliding(layer)) {
        const [first = 0] = positionsOf(layer, kvHeads);
        const { to, frequencies } = rerotation;
        const distance = (to[0]?.[0] ?? first) - first;
        await shiftDevice(layer, { distance, frequencies }, ways);
        return;
      }
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
      const hold = createHold();
      held.all().forEach((layer, index) => {
        if (isSliding(layer)) holdDevice(layer, hold, mark.lengths[index] ?? 0);
      });
      return hold;
    },

    mark: () => held.mark(),

    async fork(mark) {
      const all = held.all();
      if (mark) held.check(mark, "fork");
      const copies: AnyDeviceLayer[] = [];
      try {
        for (const [index, layer] of all.entries()) {
          const length = mark?.lengths[index];
          if (isSliding(layer)) {
            copies.push(await copyDeviceSliding(layer, length ?? layer.end, ways));
            continue;
          }
          const copy: DeviceLayer = {
            lengths: lengthsAt(layer, length),
            capacity: layer.capacity,
            positions: layer.positions.map((ofHead) => ofHead.slice()),
            buffers: layer.buffers,
          };
          await copyBuffers(copy, kernels);
          copies.push(copy);
        }
      } catch (error) {
        copies.forEach(freeAnyLayer);
        throw error;
      }
      return deviceCache(context, shape, copies);
    },

    // Its numbers are those of the device.
    rest() {},

    [Symbol.dispose]: () => held.free(),
  };
}
