import { bytesPerToken, type CacheShape } from "./bytes_per_token.ts";
import type { MarkedLayer } from "./cache_checks.ts";
import {
  appendToStore,
  copyStore,
  countTokens,
  entryAt,
  growStore,
  type HostLayer,
  releaseStore,
  reserveStore,
  tokenMajor,
} from "./host_layer.ts";
import type { HeadEntries, LayerSlots } from "./kv_cache.ts";
import { restingBytes, restLayer, wakeLayer } from "./rest.ts";
import { dropLast, lengthsAt, longest, markedLayer } from "./layer_list.ts";
import {
  appendToSliding,
  canRollBackSliding,
  commitToSliding,
  copiedTokens,
  copySliding,
  releaseSliding,
  reserveSliding,
  rollBackSliding,
  shownTokens,
  type SlidingLayer,
  slidingSlots,
} from "./sliding_layer.ts";

/** A layer of a cache in main memory: global or sliding. */
export type AnyHostLayer = HostLayer | SlidingLayer;

type HeadShape = Pick<CacheShape, "kvHeads" | "headDim">;

/** Whether a layer slides. */
export function isSliding(layer: AnyHostLayer): layer is SlidingLayer {
  return "window" in layer;
}

/** Tokens of each KV head. */
export function lengthsOf(layer: AnyHostLayer, { kvHeads }: HeadShape): number[] {
  if (!isSliding(layer)) return [...layer.lengths];
  return new Array<number>(kvHeads).fill(shownTokens(layer));
}

/** Tokens of the KV head that holds most. */
export function lengthOf(layer: AnyHostLayer): number {
  return isSliding(layer) ? shownTokens(layer) : longest(layer);
}

/** Bytes that are allocated: of a key and a value of each entry, and of its position. */
export function allocatedBytes(layer: AnyHostLayer, { kvHeads, headDim }: HeadShape): number {
  const entryBytes = bytesPerToken({ layers: 1, kvHeads: 1, headDim });
  const own = isSliding(layer) ? layer.capacity * kvHeads : layer.entries;
  const copied = isSliding(layer) ? copiedTokens(layer) * kvHeads : 0;
  const floats = (layer.narrow ? copied : own + copied) * entryBytes;
  return layer.narrow
    ? floats + restingBytes(layer.narrow) + own * Int32Array.BYTES_PER_ELEMENT
    : floats;
}

/** The keys or values that a layer shows, token-major; entries as they lie where the heads differ. */
export function shownRows(
  layer: AnyHostLayer,
  name: "keys" | "values",
  shape: HeadShape,
): Float32Array {
  const row = shape.kvHeads * shape.headDim;
  if (isSliding(layer)) {
    const stored = layer.end - layer.first;
    return layer[name].subarray((stored - shownTokens(layer)) * row, stored * row);
  }
  if (layer.slots === undefined) return layer[name].subarray(0, layer.entries * shape.headDim);
  return tokenMajor(layer, name, shape);
}

/** Copies of what one KV head holds. */
export function headEntries(
  layer: AnyHostLayer,
  kvHead: number,
  { kvHeads, headDim }: HeadShape,
  spare = false,
): HeadEntries {
  if (!isSliding(layer)) {
    const [first, length] = [entryAt(layer, kvHead, 0), layer.lengths[kvHead] ?? 0];
    return {
      keys: layer.keys.slice(first * headDim, (first + length) * headDim),
      values: layer.values.slice(first * headDim, (first + length) * headDim),
      positions: layer.positions.slice(first, first + length),
    };
  }
  const stored = layer.end - layer.first;
  const length = spare ? stored : shownTokens(layer);
  const keys = new Float32Array(length * headDim);
  const values = new Float32Array(length * headDim);
  const positions = new Int32Array(length);
  for (let token = 0; token < length; token++) {
    const row = stored - length + token;
    const entry = row * kvHeads + kvHead;
    const [start, end] = [entry * headDim, (entry + 1) * headDim];
    keys.set(layer.keys.subarray(start, end), token * headDim);
    values.set(layer.values.subarray(start, end), token * headDim);
    positions[token] = layer.positions[row] ?? 0;
  }
  return { keys, values, positions };
}

/** Positions of the entries of each KV head, one head behind the other. */
export function positionsOf(layer: AnyHostLayer, { kvHeads }: HeadShape): Int32Array {
  if (!isSliding(layer)) {
    const all = new Int32Array(layer.lengths.reduce((sum, length) => sum + length, 0));
    let at = 0;
    for (const [head, length] of layer.lengths.entries()) {
      const first = entryAt(layer, head, 0);
      all.set(layer.positions.subarray(first, first + length), at);
      at += length;
    }
    return all;
  }
  const shown = shownTokens(layer);
  const stored = layer.end - layer.first;
  const ofHead = layer.positions.subarray(stored - shown, stored);
  const all = new Int32Array(kvHeads * shown);
  for (let head = 0; head < kvHeads; head++) all.set(ofHead, head * shown);
  return all;
}

/** Makes room for more tokens. */
export function reserveLayer(layer: AnyHostLayer, tokens: number, shape: HeadShape): void {
  if (isSliding(layer)) reserveSliding(layer, tokens, shape);
  else reserveStore(layer, tokens, shape);
}

/**
 * Where a step finds what a layer shows, and may write so many tokens more behind it if that can be done.
 */
export function slotsOf(
  layer: AnyHostLayer,
  tokens: number,
  shape: HeadShape,
): LayerSlots | undefined {
  if (isSliding(layer)) return shape.kvHeads === 1 ? slidingSlots(layer, tokens, shape) : undefined;
  if (layer.slots === undefined) return undefined;
  if (tokens > 0) growStore(layer, tokens, shape);
  const { keys, values, slots } = layer;
  return { keys, values, slots, held: longest(layer), writable: tokens > 0 };
}

/** Counts tokens that a step wrote behind those of a layer. */
export function commitToLayer(layer: AnyHostLayer, tokens: number, position: number): void {
  if (isSliding(layer)) commitToSliding(layer, tokens, position);
  else countTokens(layer, tokens, position);
}

/** Appends whole rows of tokens, `[tokens, kvHeads, headDim]`. */
export function appendToLayer(
  layer: AnyHostLayer,
  rows: { readonly keys: Float32Array; readonly values: Float32Array },
  position: number,
  shape: HeadShape,
): void {
  if (isSliding(layer)) appendToSliding(layer, rows.keys, rows.values, position, shape);
  else appendToStore(layer, rows.keys, rows.values, position, shape);
}

/** A copy of what a layer held at a mark, or of everything. */
export function copyLayer(
  layer: AnyHostLayer,
  length: number | undefined,
  shape: HeadShape,
): AnyHostLayer {
  if (isSliding(layer)) {
    const precision = layer.narrow?.keys.precision;
    wakeLayer(layer, shape.headDim);
    const copy = copySliding(layer, length ?? layer.end, shape);
    if (precision) {
      restLayer(layer, shape.headDim, precision);
      restLayer(copy, shape.headDim, precision);
    }
    return copy;
  }
  return copyStore(layer, lengthsAt(layer, length), shape);
}

/** What a mark of a layer is checked against. */
export function markedOf(layer: AnyHostLayer): MarkedLayer {
  if (!isSliding(layer)) return markedLayer(layer);
  return { now: layer.end, least: 0, reaches: (end) => canRollBackSliding(layer, end) };
}

/** Brings a layer back to what it was. */
export function rollBackLayer(layer: AnyHostLayer, length: number, shape: HeadShape): void {
  if (isSliding(layer)) rollBackSliding(layer, length, shape);
  else dropLast(layer, length);
}

/** Gives a layer's memory back. */
export function releaseLayer(layer: AnyHostLayer): void {
  if (isSliding(layer)) releaseSliding(layer);
  else releaseStore(layer);
}
