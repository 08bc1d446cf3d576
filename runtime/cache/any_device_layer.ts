import type { LayerBuffers } from "../../kernels/device/layer_buffers.ts";
import type { MarkedLayer } from "./cache_checks.ts";
import { type DeviceLayer, freeLayer } from "./device_layer.ts";
import {
  canRollBackDevice,
  type DeviceSlidingLayer,
  firstStored,
  freeDeviceSliding,
  rollBackDevice,
  shownTokens,
  storedPositions,
  takenSlots,
} from "./device_sliding_layer.ts";
import { dropLast, longest, markedLayer } from "./layer_list.ts";

/** A layer of a cache on a device: global or sliding. */
export type AnyDeviceLayer = DeviceLayer | DeviceSlidingLayer;

/** Whether a layer slides. */
export function isSliding(layer: AnyDeviceLayer): layer is DeviceSlidingLayer {
  return "window" in layer;
}

/** Tokens of each KV head that a layer shows. */
export function lengthsOf(layer: AnyDeviceLayer, kvHeads: number): number[] {
  if (!isSliding(layer)) return [...layer.lengths];
  return new Array<number>(kvHeads).fill(shownTokens(layer));
}

/** Tokens of each KV head in the first slots of a layer's buffers. */
export function storedOf(layer: AnyDeviceLayer, kvHeads: number): number[] {
  if (!isSliding(layer)) return [...layer.lengths];
  return new Array<number>(kvHeads).fill(layer.end - firstStored(layer));
}

/** Tokens of the KV head that shows most. */
export function lengthOf(layer: AnyDeviceLayer): number {
  return isSliding(layer) ? shownTokens(layer) : longest(layer);
}

/** Slots that steps write into. */
export function capacityOf(layer: AnyDeviceLayer): number {
  return isSliding(layer) ? layer.main?.capacity ?? 0 : layer.capacity;
}

/** All slots that memory was taken for. */
export function slotsOf(layer: AnyDeviceLayer): number {
  return isSliding(layer) ? takenSlots(layer) : layer.capacity;
}

/** Buffers that steps write into, if there are any. */
export function buffersOf(layer: AnyDeviceLayer): LayerBuffers | undefined {
  if (!isSliding(layer)) return layer.buffers;
  if (!layer.scattered) return layer.main?.buffers;
  throw new RangeError(
    "Cannot reach the entries of a sliding layer behind a rollback: make room first",
  );
}

/** Positions of the entries of each KV head, one head behind the other. */
export function positionsOf(layer: AnyDeviceLayer, kvHeads: number): Int32Array {
  const parts = isSliding(layer)
    ? new Array<Int32Array>(kvHeads).fill(storedPositions(layer, shownTokens(layer)))
    : layer.positions.map((ofHead, head) => ofHead.subarray(0, layer.lengths[head]));
  const all = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** What a mark of a layer is checked against. */
export function markedOf(layer: AnyDeviceLayer): MarkedLayer {
  if (!isSliding(layer)) return markedLayer(layer);
  return { now: layer.end, least: 0, reaches: (end) => canRollBackDevice(layer, end) };
}

/** Brings a layer back to what it was. */
export function rollBackLayer(layer: AnyDeviceLayer, length: number): void {
  if (isSliding(layer)) rollBackDevice(layer, length);
  else dropLast(layer, length);
}

/** Gives the device memory of a layer back. */
export function freeAnyLayer(layer: AnyDeviceLayer): void {
  if (isSliding(layer)) freeDeviceSliding(layer);
  else freeLayer(layer);
}
