import type { CacheShape } from "./bytes_per_token.ts";
import { FIRST_CAPACITY, grownCapacity, GROWTH } from "./growth.ts";
import type { Hold, Holder } from "./holds.ts";
import type { LayerSlots } from "./kv_cache.ts";
import { release, resized } from "./memory.ts";
import { releaseResting, type Restable, wakeLayer } from "./rest.ts";
import { copyRows, rowsOf, type TokenRows, type TokenStore } from "./token_rows.ts";

/**
 * A layer that shows its last `window − 1` tokens, all KV heads the same.
 *
 * Tokens are numbered as they were given, from 0. Those from `first` to `end` are stored, from the
 * beginning of the arrays: at least as many as are shown and may be rolled back, and some more, so that
 * they are moved to the front once in many tokens only.
 */
export interface SlidingLayer extends TokenStore, Holder, Restable {
  readonly window: number;
  readonly slack: number;
  /** Tokens given so far. */
  end: number;
  /** Number of the first that is stored. */
  first: number;
  /** Tokens that there is room for. */
  capacity: number;
  /** What holds need, and their copies of it, once the layer itself lost some of it. */
  readonly held: Map<Hold, HeldRows>;
}

/** Tokens that a hold needs: from `from` to before `end`. */
interface HeldRows {
  readonly from: number;
  readonly end: number;
  copy: TokenStore | undefined;
}

type HeadShape = Pick<CacheShape, "kvHeads" | "headDim">;

/** Makes a sliding layer that was given nothing. */
export function createSliding(window: number, slack: number): SlidingLayer {
  const layer: SlidingLayer = {
    ...{ window, slack, end: 0, first: 0, capacity: 0, held: new Map<Hold, HeldRows>() },
    ...rowsOf(0, { kvHeads: 1, headDim: 1 }),
    forget(hold) {
      const rows = layer.held.get(hold);
      if (rows?.copy) releaseRows(rows.copy);
      layer.held.delete(hold);
    },
  };
  return layer;
}

/**
 * A layer with room for its last `stored` tokens, which are to be written into it.
 *
 * @param given Tokens that it was given. Left out: it is taken to have lost some where its window is full.
 */
export function fillSliding(
  { window, slack }: Pick<SlidingLayer, "window" | "slack">,
  stored: number,
  given: number | undefined,
  shape: HeadShape,
): SlidingLayer {
  const layer = createSliding(window, slack);
  layer.end = Math.max(stored, given ?? (stored < window - 1 ? stored : stored + 1));
  layer.first = layer.end - stored;
  resize(layer, stored, shape);
  return layer;
}

/** Tokens that a layer keeps at least, where it was given as many. */
export function keptTokens({ window, slack }: Pick<SlidingLayer, "window" | "slack">): number {
  return window - 1 + slack;
}

/** Tokens that a layer shows, which are its last. */
export function shownTokens({ window, first, end }: SlidingLayer): number {
  return Math.min(window - 1, end - first);
}

/** Tokens of the copies for holds. */
export function copiedTokens({ held }: SlidingLayer): number {
  let tokens = 0;
  for (const { from, end, copy } of held.values()) tokens += copy ? end - from : 0;
  return tokens;
}

/** Makes room for more tokens, as far as a layer that slides needs it. */
export function reserveSliding(layer: SlidingLayer, tokens: number, shape: HeadShape): void {
  const needed = Math.min(layer.end - layer.first + tokens, mostTokens(layer));
  if (needed > layer.capacity) resize(layer, needed, shape);
}

/** Appends whole rows of tokens, `[tokens, kvHeads, headDim]`. What does not stay is not stored. */
export function appendToSliding(
  layer: SlidingLayer,
  keys: Float32Array,
  values: Float32Array,
  position: number,
  shape: HeadShape,
): void {
  const row = shape.kvHeads * shape.headDim;
  const tokens = keys.length / row;
  makeRoom(layer, tokens, shape);
  const end = layer.end + tokens;
  const skipped = Math.max(0, layer.first - layer.end);
  const at = layer.end + skipped - layer.first;
  layer.keys.set(keys.subarray(skipped * row), at * row);
  layer.values.set(values.subarray(skipped * row), at * row);
  for (let token = skipped; token < tokens; token++) {
    layer.positions[at + token - skipped] = position + token;
  }
  layer.end = end;
}

/** Drops what need not stay behind so many tokens more, and takes memory for them. */
function makeRoom(layer: SlidingLayer, tokens: number, shape: HeadShape): void {
  const end = layer.end + tokens;
  if (end - layer.first > mostTokens(layer)) dropBefore(layer, end - keptTokens(layer), shape);
  const needed = end - layer.first;
  if (needed > layer.capacity) {
    const grown = grownCapacity(layer.capacity, GROWTH.sliding);
    resize(layer, Math.max(needed, Math.min(grown, mostTokens(layer))), shape);
  }
}

/**
 * What a layer with one KV head shows, with room for so many tokens behind it where there can be: not for
 * more than it may hold besides its window.
 */
export function slidingSlots(layer: SlidingLayer, tokens: number, shape: HeadShape): LayerSlots {
  const shown = shownTokens(layer);
  // Making room for more would drop tokens that the first of these see.
  const writable = tokens > 0 && tokens <= layer.slack;
  if (writable) makeRoom(layer, tokens, shape);
  const from = layer.end - layer.first - shown;
  const slots = writable ? layer.capacity - from : shown;
  const part = (array: Float32Array) =>
    array.subarray(from * shape.headDim, (from + slots) * shape.headDim);
  return { keys: part(layer.keys), values: part(layer.values), slots, held: shown, writable };
}

/** Counts tokens that were written behind those of a layer. */
export function commitToSliding(layer: SlidingLayer, tokens: number, position: number): void {
  const at = layer.end - layer.first;
  for (let token = 0; token < tokens; token++) layer.positions[at + token] = position + token;
  layer.end += tokens;
}

/** Whether all that a query behind the first `end` tokens sees is still there. */
export function canRollBackSliding(layer: SlidingLayer, end: number): boolean {
  return end <= layer.end && reach(layer, end) <= firstSeen(layer, end);
}

/** Makes a layer what it was when it had been given `end` tokens, which it can be. */
export function rollBackSliding(layer: SlidingLayer, end: number, shape: HeadShape): void {
  if (layer.first > firstSeen(layer, end)) {
    wakeLayer(layer, shape.headDim);
    const from = Math.max(reach(layer, end), end - keptTokens(layer));
    replaceRows(layer, gathered(layer, from, end, shape), from, end);
  }
  layer.end = end;
  for (const [hold, { end: needed }] of [...layer.held]) {
    // That text is gone, another one will have its place.
    if (needed > end) forgetHold(layer, hold);
  }
  for (const rows of layer.held.values()) {
    if (!rows.copy || rows.from < layer.first) continue;
    releaseRows(rows.copy);
    rows.copy = undefined;
  }
}

/** Sees to it that a layer can be rolled back to `end` tokens, which it can be now, for as long as a hold lasts. */
export function holdSliding(layer: SlidingLayer, hold: Hold, end: number, shape: HeadShape): void {
  const from = firstSeen(layer, end);
  if (from < layer.first) wakeLayer(layer, shape.headDim);
  const copy = from < layer.first ? gathered(layer, from, end, shape) : undefined;
  layer.held.set(hold, { from, end, copy });
  hold.holders.add(layer);
}

/** A copy of what a layer was when it had been given `end` tokens, with the holds of that text. */
export function copySliding(layer: SlidingLayer, end: number, shape: HeadShape): SlidingLayer {
  const copy = createSliding(layer.window, layer.slack);
  const from = Math.max(reach(layer, end), end - keptTokens(layer));
  replaceRows(copy, gathered(layer, from, end, shape), from, end);
  copy.end = end;
  for (const [hold, rows] of layer.held) {
    if (rows.end > end) continue;
    const aside = rows.from < from ? gathered(layer, rows.from, rows.end, shape) : undefined;
    copy.held.set(hold, { from: rows.from, end: rows.end, copy: aside });
    hold.holders.add(copy);
  }
  return copy;
}

/**
 * Moves all that a layer keeps, what was put aside for holds too, by a distance.
 *
 * @param rotate Rotates a key from its position on.
 */
export function shiftSliding(
  layer: SlidingLayer,
  distance: number,
  rotate: (key: Float32Array, from: number) => void,
  { kvHeads, headDim }: HeadShape,
): void {
  if (distance === 0) return;
  for (const { rows: { keys, positions }, from, end } of sources(layer)) {
    for (let entry = 0; entry < (end - from) * kvHeads; entry++) {
      const position = positions[Math.floor(entry / kvHeads)] ?? 0;
      rotate(keys.subarray(entry * headDim, (entry + 1) * headDim), position);
    }
    for (let token = 0; token < end - from; token++) {
      positions[token] = (positions[token] ?? 0) + distance;
    }
  }
}

/** Gives a layer's memory back. */
export function releaseSliding(layer: SlidingLayer): void {
  for (const hold of [...layer.held.keys()]) forgetHold(layer, hold);
  if (layer.narrow) releaseResting(layer.narrow);
  layer.narrow = undefined;
  releaseRows(layer);
  layer.end = layer.first = layer.capacity = 0;
}

/** Tokens that a layer ever has room for, copies for holds aside: some more than it keeps, so that moves are rare. */
export function mostTokens(layer: Pick<SlidingLayer, "window" | "slack">): number {
  const kept = keptTokens(layer);
  return kept + Math.max(FIRST_CAPACITY, Math.ceil(kept / 4));
}

/** Number of the first token that a query behind the first `end` ones sees. */
function firstSeen({ window }: SlidingLayer, end: number): number {
  return Math.max(0, end - (window - 1));
}

/** How far back the tokens before `end` are there without a gap, in the layer or in copies. */
function reach(layer: SlidingLayer, end: number): number {
  let from = end;
  for (let moved = true; moved;) {
    moved = false;
    for (const source of sources(layer)) {
      if (source.from >= from || source.end < from) continue;
      from = source.from;
      moved = true;
    }
  }
  return from;
}

/** Tokens from `from` to before `end`, which are all there, as arrays of their own. */
function gathered(layer: SlidingLayer, from: number, end: number, shape: HeadShape): TokenStore {
  const rows = rowsOf(end - from, shape);
  for (let at = from; at < end;) {
    const source = sources(layer).find((one) => one.from <= at && one.end > at);
    if (!source) throw new RangeError(`Cannot copy token ${at} of a sliding layer: it is gone`);
    const until = Math.min(end, source.end);
    copyRows(
      { from: source.rows, at: at - source.from },
      { to: rows, at: at - from },
      until - at,
      shape,
    );
    at = until;
  }
  return rows;
}

interface Source {
  readonly from: number;
  readonly end: number;
  readonly rows: TokenRows;
}

function sources(layer: SlidingLayer): readonly Source[] {
  const copies = [...layer.held.values()].flatMap(({ from, end, copy }) =>
    copy ? [{ from, end, rows: copy }] : []
  );
  return [{ from: layer.first, end: layer.end, rows: layer }, ...copies];
}

/** Drops tokens before a number, and puts those aside that holds need. */
function dropBefore(layer: SlidingLayer, first: number, shape: HeadShape): void {
  if (first <= layer.first) return;
  for (const rows of layer.held.values()) {
    if (rows.copy || rows.from >= first || rows.from === rows.end) continue;
    rows.copy = gathered(layer, rows.from, rows.end, shape);
  }
  const row = shape.kvHeads * shape.headDim;
  const [dropped, stored] = [first - layer.first, layer.end - layer.first];
  if (dropped < stored) {
    layer.keys.copyWithin(0, dropped * row, stored * row);
    layer.values.copyWithin(0, dropped * row, stored * row);
    layer.positions.copyWithin(0, dropped, stored);
  }
  layer.first = first;
}

function replaceRows(layer: SlidingLayer, rows: TokenStore, first: number, end: number): void {
  releaseRows(layer);
  layer.keys = rows.keys;
  layer.values = rows.values;
  layer.positions = rows.positions;
  layer.first = first;
  layer.capacity = end - first;
}

function resize(layer: SlidingLayer, tokens: number, { kvHeads, headDim }: HeadShape): void {
  const floats = tokens * kvHeads * headDim * Float32Array.BYTES_PER_ELEMENT;
  layer.keys = new Float32Array(resized(layer.keys.buffer, floats));
  layer.values = new Float32Array(resized(layer.values.buffer, floats));
  layer.positions = new Int32Array(
    resized(layer.positions.buffer, tokens * Int32Array.BYTES_PER_ELEMENT),
  );
  layer.capacity = tokens;
}

function forgetHold(layer: SlidingLayer, hold: Hold): void {
  hold.holders.delete(layer);
  layer.forget(hold);
}

function releaseRows({ keys, values, positions }: TokenStore): void {
  release(keys.buffer);
  release(values.buffer);
  release(positions.buffer);
}
