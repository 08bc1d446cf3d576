import type { CacheKernels } from "../../kernels/device/cache_kernels.ts";
import type { LayerBuffers } from "../../kernels/device/layer_buffers.ts";
import {
  covering,
  cutTokens,
  type DeviceTokens,
  leaveTokens,
  reachOf,
  sharedPieces,
  shiftedTokens,
  type TokenPiece,
} from "./device_tokens.ts";
import { grownCapacity, GROWTH } from "./growth.ts";
import type { Hold, Holder } from "./holds.ts";
import { keptTokens, mostTokens } from "./sliding_layer.ts";

/**
 * A layer on a device that shows its last `window − 1` tokens, as `SlidingLayer` does in main memory.
 *
 * Tokens are numbered as they were given, from 0. Those from `first` to `end` are stored, in the first
 * slots of `main`. After a rollback they may lie elsewhere, in what holds put aside: they are brought
 * together before the next step.
 */
export interface DeviceSlidingLayer extends Holder {
  readonly window: number;
  readonly slack: number;
  /** Tokens given so far. */
  end: number;
  /** Where steps write. Absent while nothing was stored. */
  main: DeviceTokens | undefined;
  /** Where the tokens lie after a rollback, if not in `main` alone. */
  scattered: readonly TokenPiece[] | undefined;
  /** What holds need. */
  readonly held: Map<Hold, HeldTokens>;
}

interface HeldTokens {
  readonly from: number;
  readonly end: number;
  readonly pieces: readonly TokenPiece[];
}

/** What changes of a layer are made with. */
export interface SlidingWays {
  readonly kernels: CacheKernels;
  readonly kvHeads: number;
  /** Buffers of so many slots in which nothing lies. */
  readonly empty: (capacity: number) => Promise<LayerBuffers>;
}

/** Makes a sliding layer that was given nothing. */
export function createDeviceSliding(window: number, slack: number): DeviceSlidingLayer {
  const layer: DeviceSlidingLayer = {
    ...{ window, slack, end: 0, main: undefined, scattered: undefined },
    held: new Map<Hold, HeldTokens>(),
    forget(hold) {
      for (const { source } of layer.held.get(hold)?.pieces ?? []) leaveTokens(source);
      layer.held.delete(hold);
    },
  };
  return layer;
}

/** Number of the first token that is stored. */
export function firstStored(layer: DeviceSlidingLayer): number {
  return layer.scattered ? layer.scattered[0]?.from ?? layer.end : layer.main?.from ?? layer.end;
}

/** Tokens that a layer shows, which are its last. */
export function shownTokens(layer: DeviceSlidingLayer): number {
  return Math.min(layer.window - 1, layer.end - firstStored(layer));
}

/** Slots that a layer takes, copies for holds included. */
export function takenSlots(layer: DeviceSlidingLayer): number {
  const all = new Set([
    ...(layer.main ? [layer.main] : []),
    ...[...layer.scattered ?? []].map(({ source }) => source),
    ...[...layer.held.values()].flatMap(({ pieces }) => pieces.map(({ source }) => source)),
  ]);
  return [...all].reduce((sum, { capacity }) => sum + capacity, 0);
}

/** Positions of the tokens that are stored, or of those that are shown. */
export function storedPositions(layer: DeviceSlidingLayer, count: number): Int32Array {
  const positions = new Int32Array(count);
  const from = layer.end - count;
  for (const piece of covering(sourcesOf(layer), from, layer.end)) {
    const first = piece.from - piece.source.from;
    const run = piece.source.positions.subarray(first, first + piece.end - piece.from);
    positions.set(run, piece.from - from);
  }
  return positions;
}

/** Puts tokens that come from elsewhere into a layer that was given nothing. */
export function fillDeviceSliding(
  layer: DeviceSlidingLayer,
  buffers: LayerBuffers,
  positions: Int32Array,
  given: number,
): void {
  const from = given - positions.length;
  layer.main = { from, capacity: positions.length, buffers, positions, users: 1 };
  layer.end = given;
}

/** Makes sure that all stored tokens lie in the first slots of `main` and that more have room behind them. */
export async function roomInSliding(
  layer: DeviceSlidingLayer,
  tokens: number,
  reserved: number,
  ways: SlidingWays,
): Promise<void> {
  const kept = keptTokens(layer);
  const most = Math.max(mostTokens(layer), kept + tokens);
  const stored = layer.end - firstStored(layer);
  const capacity = layer.main?.capacity ?? 0;
  const fits = stored + tokens <= capacity && capacity <= most;
  if (fits && !layer.scattered) return;
  const from = stored + tokens > most ? layer.end - kept : layer.end - stored;
  const needed = layer.end - from + tokens;
  const grown = Math.max(grownCapacity(capacity, GROWTH.sliding), Math.min(reserved, most));
  await moveMain(layer, from, Math.max(needed, Math.min(grown, most)), ways);
}

/** Brings tokens together where a rollback left them elsewhere. */
export async function settleSliding(layer: DeviceSlidingLayer, ways: SlidingWays): Promise<void> {
  if (layer.scattered) await roomInSliding(layer, 0, 0, ways);
}

/** Counts tokens that a step wrote behind those that are stored. */
export function commitToSliding(layer: DeviceSlidingLayer, tokens: number, position: number): void {
  const { main } = layer;
  for (let token = 0; token < tokens && main; token++) {
    main.positions[layer.end - main.from + token] = position + token;
  }
  layer.end += tokens;
}

/** Whether all that a query behind the first `end` tokens sees is still there. */
export function canRollBackDevice(layer: DeviceSlidingLayer, end: number): boolean {
  return end <= layer.end && reachOf(sourcesOf(layer), end) <= firstSeen(layer, end);
}

/** Makes a layer what it was when it had been given `end` tokens, which it can be. */
export function rollBackDevice(layer: DeviceSlidingLayer, end: number): void {
  const sources = sourcesOf(layer);
  if (firstStored(layer) > firstSeen(layer, end)) {
    const from = Math.max(reachOf(sources, end), end - keptTokens(layer));
    const pieces = sharedPieces(covering(sources, from, end));
    leaveStored(layer);
    layer.scattered = pieces;
  } else if (layer.scattered) {
    const from = firstStored(layer);
    const pieces = sharedPieces(covering(sources, from, end));
    leaveStored(layer);
    layer.scattered = pieces;
  }
  layer.end = end;
  for (const [hold, { end: needed }] of [...layer.held]) {
    // That text is gone, another one will have its place.
    if (needed > end) forgetHold(layer, hold);
  }
}

/** Sees to it that a layer can be rolled back to `end` tokens, which it can be now, for as long as a hold lasts. */
export function holdDevice(layer: DeviceSlidingLayer, hold: Hold, end: number): void {
  const from = firstSeen(layer, end);
  const pieces = sharedPieces(covering(sourcesOf(layer), from, end));
  layer.held.set(hold, { from, end, pieces });
  hold.holders.add(layer);
}

/** A copy of what a layer was when it had been given `end` tokens, with the holds of that text. */
export async function copyDeviceSliding(
  layer: DeviceSlidingLayer,
  end: number,
  { kernels, kvHeads }: SlidingWays,
): Promise<DeviceSlidingLayer> {
  const copy = createDeviceSliding(layer.window, layer.slack);
  const sources = sourcesOf(layer);
  const from = Math.max(reachOf(sources, end), end - keptTokens(layer));
  copy.end = end;
  if (from < end) {
    copy.main = await cutTokens(kernels, kvHeads, sources, { from, end, capacity: end - from });
  }
  for (const [hold, rows] of layer.held) {
    if (rows.end > end) continue;
    // What this layer writes over one day must not be the copy's.
    const pieces = await putAside(layer, rows, { kernels, kvHeads });
    copy.held.set(hold, { ...rows, pieces });
    hold.holders.add(copy);
  }
  return copy;
}

/** Moves the keys of all tokens by a distance, what was put aside for holds too. */
export async function shiftDevice(
  layer: DeviceSlidingLayer,
  move: { readonly distance: number; readonly frequencies: Float32Array },
  ways: SlidingWays,
): Promise<void> {
  await settleSliding(layer, ways);
  if (move.distance === 0 || !layer.main) return;
  const { kernels, kvHeads } = ways;
  const moved = new Map<DeviceTokens, DeviceTokens>();
  const shifted = async (tokens: DeviceTokens): Promise<DeviceTokens> => {
    const known = moved.get(tokens);
    if (known) {
      known.users++;
      return known;
    }
    const made = await shiftedTokens(kernels, kvHeads, tokens, move);
    moved.set(tokens, made);
    return made;
  };
  const { main } = layer;
  layer.main = await shifted(main);
  for (const [hold, rows] of [...layer.held]) {
    const pieces: TokenPiece[] = [];
    for (const piece of rows.pieces) pieces.push({ ...piece, source: await shifted(piece.source) });
    for (const { source } of rows.pieces) leaveTokens(source);
    layer.held.set(hold, { ...rows, pieces });
  }
  leaveTokens(main);
}

/** Gives the memory of a layer back. */
export function freeDeviceSliding(layer: DeviceSlidingLayer): void {
  for (const hold of [...layer.held.keys()]) forgetHold(layer, hold);
  leaveStored(layer);
  layer.end = 0;
}

/** Tokens in other buffers: those from `from` on, with room for as many as are said. */
async function moveMain(
  layer: DeviceSlidingLayer,
  from: number,
  capacity: number,
  ways: SlidingWays,
): Promise<void> {
  const { kernels, kvHeads } = ways;
  const { end, main: old } = layer;
  const main: DeviceTokens = from === end
    ? {
      ...{ from, capacity, users: 1, buffers: await ways.empty(capacity) },
      positions: new Int32Array(capacity),
    }
    : await cutTokens(kernels, kvHeads, sourcesOf(layer), { from, end, capacity });
  for (const [hold, rows] of [...layer.held]) {
    if (!rows.pieces.some(({ source }) => source === old)) continue;
    const pieces = rows.from >= from
      ? sharedPieces([{ source: main, from: rows.from, end: rows.end }])
      : await putAside(layer, rows, ways);
    for (const { source } of rows.pieces) leaveTokens(source);
    layer.held.set(hold, { ...rows, pieces });
  }
  leaveStored(layer);
  layer.main = main;
}

/** Tokens that a hold needs, out of the way of what is written into `main`. */
async function putAside(
  layer: DeviceSlidingLayer,
  { from, end, pieces }: HeldTokens,
  { kernels, kvHeads }: Pick<SlidingWays, "kernels" | "kvHeads">,
): Promise<readonly TokenPiece[]> {
  if (from === end) return [];
  if (pieces.every(({ source }) => source !== layer.main)) return sharedPieces(pieces);
  const source = await cutTokens(kernels, kvHeads, pieces, { from, end, capacity: end - from });
  return [{ source, from, end }];
}

/** Number of the first token that a query behind the first `end` ones sees. */
function firstSeen({ window }: DeviceSlidingLayer, end: number): number {
  return Math.max(0, end - (window - 1));
}

function sourcesOf(layer: DeviceSlidingLayer): readonly TokenPiece[] {
  const { main, scattered, end } = layer;
  const stored = scattered ?? (main ? [{ source: main, from: main.from, end }] : []);
  return [...stored, ...[...layer.held.values()].flatMap(({ pieces }) => pieces)];
}

function leaveStored(layer: DeviceSlidingLayer): void {
  if (layer.scattered) { for (const { source } of layer.scattered) leaveTokens(source); }
  else if (layer.main) leaveTokens(layer.main);
  layer.scattered = layer.main = undefined;
}

function forgetHold(layer: DeviceSlidingLayer, hold: Hold): void {
  hold.holders.delete(layer);
  layer.forget(hold);
}
