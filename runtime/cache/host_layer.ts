import type { CacheShape } from "./bytes_per_token.ts";
import { grownCapacity, GROWTH } from "./growth.ts";
import { keepRows } from "./keep_rows.ts";
import { longest } from "./layer_list.ts";
import { allocate, release, resized } from "./memory.ts";
import { copyResting, releaseResting, type Restable } from "./rest.ts";

/**
 * The arrays of one layer: entries of `headDim` numbers each, and their positions. Each KV head has a
 * segment, one behind the other, which it fills from its beginning.
 */
export interface HostLayer extends Restable {
  /** Tokens of each KV head. */
  lengths: number[];
  /** First entry of each head's segment. */
  starts: number[];
  /**
   * Slots of each segment, while all heads hold the same number of tokens: the arrays are then
   * `[kvHeads, slots]`, as attention reads and writes them. Absent where the heads differ.
   */
  slots: number | undefined;
  /** Entries that there is room for, always a multiple of the KV heads. */
  entries: number;
  keys: Float32Array<ArrayBuffer>;
  values: Float32Array<ArrayBuffer>;
  positions: Int32Array<ArrayBuffer>;
}

type HeadShape = Pick<CacheShape, "kvHeads" | "headDim">;

/** Fewest tokens that a layer grows by: a short answer moves it once. */
const LEAST_GROWTH = 64;

/** Tokens that a segment has to spare after it grew: its block. */
const BLOCK = 16;

/** Makes an empty layer. */
export function createStore(capacity: number, shape: HeadShape): HostLayer {
  const { kvHeads } = shape;
  const entries = capacity * kvHeads;
  return {
    lengths: new Array<number>(kvHeads).fill(0),
    starts: evenStarts(capacity, kvHeads),
    slots: capacity,
    entries,
    ...arrays(entries, shape),
  };
}

function evenStarts(slots: number, kvHeads: number): number[] {
  return Array.from({ length: kvHeads }, (_, head) => head * slots);
}

function arrays(entries: number, { headDim }: HeadShape) {
  const floats = entries * headDim * Float32Array.BYTES_PER_ELEMENT;
  return {
    keys: new Float32Array(allocate(floats)),
    values: new Float32Array(allocate(floats)),
    positions: new Int32Array(allocate(entries * Int32Array.BYTES_PER_ELEMENT)),
  };
}

/** Gives a layer's memory back. */
export function releaseStore(store: HostLayer): void {
  if (store.narrow) releaseResting(store.narrow);
  store.narrow = undefined;
  release(store.keys.buffer);
  release(store.values.buffer);
  release(store.positions.buffer);
  store.lengths.fill(0);
  store.entries = 0;
  if (store.slots !== undefined) store.slots = 0;
}

/** Makes room for more tokens. */
export function reserveStore(store: HostLayer, tokens: number, shape: HeadShape): void {
  if (hasRoom(store, tokens)) return;
  if (store.slots === undefined) layOut(store, store.lengths.map((one) => one + tokens), shape);
  else resize(store, longest(store) + tokens, shape);
}

/** Makes room for more tokens, and for some that will follow them. */
export function growStore(store: HostLayer, tokens: number, shape: HeadShape): void {
  if (hasRoom(store, tokens)) return;
  if (store.slots === undefined) {
    layOut(store, store.lengths.map((one) => one + tokens + BLOCK), shape);
  } else {
    const grown = grownCapacity(store.slots, GROWTH.host, LEAST_GROWTH);
    resize(store, Math.max(longest(store) + tokens, grown), shape);
  }
}

/** Appends whole rows of tokens, `[tokens, kvHeads, headDim]`. */
export function appendToStore(
  store: HostLayer,
  keys: Float32Array,
  values: Float32Array,
  position: number,
  shape: HeadShape,
): void {
  const { kvHeads, headDim } = shape;
  const row = kvHeads * headDim;
  const tokens = keys.length / row;
  growStore(store, tokens, shape);
  for (let head = 0; head < kvHeads; head++) {
    const first = entryAt(store, head, store.lengths[head] ?? 0);
    if (kvHeads === 1) {
      store.keys.set(keys, first * headDim);
      store.values.set(values, first * headDim);
      continue;
    }
    for (let token = 0; token < tokens; token++) {
      const to = (first + token) * headDim;
      const from = token * row + head * headDim;
      store.keys.set(keys.subarray(from, from + headDim), to);
      store.values.set(values.subarray(from, from + headDim), to);
    }
  }
  countTokens(store, tokens, position);
}

/** Counts tokens whose keys and values lie behind those of each head already. */
export function countTokens(store: HostLayer, tokens: number, position: number): void {
  for (const [head, length] of store.lengths.entries()) {
    const first = entryAt(store, head, length);
    for (let token = 0; token < tokens; token++) store.positions[first + token] = position + token;
  }
  store.lengths = store.lengths.map((one) => one + tokens);
}

/** The keys or values of heads that hold the same number of tokens, `[tokens, kvHeads, headDim]`. */
export function tokenMajor(
  store: HostLayer,
  name: "keys" | "values",
  { kvHeads, headDim }: HeadShape,
): Float32Array {
  const length = longest(store);
  const array = store[name];
  if (kvHeads === 1) return array.subarray(0, length * headDim);
  const rows = new Float32Array(length * kvHeads * headDim);
  for (let head = 0; head < kvHeads; head++) {
    const first = entryAt(store, head, 0) * headDim;
    for (let token = 0; token < length; token++) {
      const [from, to] = [first + token * headDim, (token * kvHeads + head) * headDim];
      // A view of each row would take several times as long.
      for (let at = 0; at < headDim; at++) rows[to + at] = array[from + at] ?? 0;
    }
  }
  return rows;
}

/** Keeps only some entries of each head; the rest of the memory goes back. */
export function compactStore(
  store: HostLayer,
  kept: readonly Int32Array[],
  shape: HeadShape,
): void {
  const { headDim } = shape;
  const counts = kept.map(({ length }) => length);
  const [first = 0] = counts;
  const alike = counts.every((count) => count === first);
  if (store.slots !== undefined && alike) {
    if (first < longest(store)) {
      for (const [head, indices] of kept.entries()) {
        const [start, end] = [entryAt(store, head, 0), entryAt(store, head, store.slots)];
        keepRows(store.keys.subarray(start * headDim, end * headDim), [indices], headDim);
        keepRows(store.values.subarray(start * headDim, end * headDim), [indices], headDim);
        keepRows(store.positions.subarray(start, end), [indices], 1);
      }
      store.lengths = counts;
    }
    resize(store, first, shape);
    return;
  }
  const old = { ...store };
  takeOver(store, copyKept(old, kept, shape), counts);
  releaseStore(old);
}

/** A copy of some entries of each head. */
export function copyKept(
  store: HostLayer,
  kept: readonly Int32Array[],
  shape: HeadShape,
): HostLayer {
  const counts = kept.map(({ length }) => length);
  const [first = 0] = counts;
  const alike = counts.every((count) => count === first);
  const copy = alike ? createStore(first, shape) : segmented(counts, shape);
  copyEntries(store, copy, kept, shape);
  copy.lengths = counts;
  return copy;
}

/** Gives memory back that was set aside for tokens to come. */
export function trimStore(store: HostLayer, shape: HeadShape): void {
  const needed = longest(store);
  if (store.slots !== undefined && store.slots > needed) resize(store, needed, shape);
}

/** A copy of the first tokens of each head, at rest where the layer is. */
export function copyStore(
  store: HostLayer,
  lengths: readonly number[],
  shape: HeadShape,
): HostLayer {
  if (store.narrow) {
    const { entries, slots, narrow } = store;
    return {
      ...arrays(0, shape),
      ...{ lengths: [...lengths], starts: [...store.starts], slots, entries },
      positions: copyPositions(store.positions),
      narrow: copyResting(narrow, entries, shape.headDim),
    };
  }
  const copy = store.slots === undefined
    ? segmented(lengths, shape)
    : createStore(lengths[0] ?? 0, shape);
  copyEntries(store, copy, lengths, shape);
  copy.lengths = [...lengths];
  return copy;
}

/** Index of an entry in the arrays. */
export function entryAt({ starts }: HostLayer, head: number, token: number): number {
  return (starts[head] ?? 0) + token;
}

/** An empty layer with a segment for each head. */
export function segmented(capacities: readonly number[], shape: HeadShape): HostLayer {
  const starts: number[] = [];
  let end = 0;
  for (const capacity of capacities) {
    starts.push(end);
    end += capacity;
  }
  // Whole rows of all heads, as the graph takes them.
  const entries = Math.ceil(end / shape.kvHeads) * shape.kvHeads;
  const lengths = capacities.map(() => 0);
  return { lengths, starts, slots: undefined, entries, ...arrays(entries, shape) };
}

function hasRoom({ lengths, starts, entries }: HostLayer, tokens: number): boolean {
  return lengths.every((length, head) =>
    (starts[head] ?? 0) + length + tokens <= (starts[head + 1] ?? entries)
  );
}

/** Puts the arrays of another layer in the place of a layer's own, which the caller releases. */
function takeOver(store: HostLayer, next: HostLayer, lengths: number[]): void {
  store.lengths = lengths;
  store.starts = next.starts;
  store.slots = next.slots;
  store.entries = next.entries;
  store.keys = next.keys;
  store.values = next.values;
  store.positions = next.positions;
}

/** Gives the segments other capacities. */
function layOut(store: HostLayer, capacities: readonly number[], shape: HeadShape): void {
  const old = { ...store };
  const { lengths } = store;
  const next = segmented(capacities, shape);
  copyEntries(old, next, lengths, shape);
  takeOver(store, next, lengths);
  release(old.keys.buffer);
  release(old.values.buffer);
  release(old.positions.buffer);
}

/**
 * Copies entries of each head to the beginning of its place.
 *
 * @param chosen Indices per head, or how many of the first.
 */
function copyEntries(
  from: HostLayer,
  to: HostLayer,
  chosen: readonly (Int32Array | number)[],
  { headDim }: HeadShape,
): void {
  const copy = (source: number, target: number, count: number): void => {
    const [start, end] = [source * headDim, (source + count) * headDim];
    to.keys.set(from.keys.subarray(start, end), target * headDim);
    to.values.set(from.values.subarray(start, end), target * headDim);
    to.positions.set(from.positions.subarray(source, source + count), target);
  };
  for (const [head, which] of chosen.entries()) {
    if (typeof which === "number") {
      copy(entryAt(from, head, 0), entryAt(to, head, 0), which);
      continue;
    }
    for (let token = 0; token < which.length;) {
      const first = which[token] ?? 0;
      let run = 1;
      while (which[token + run] === first + run) run++;
      copy(entryAt(from, head, first), entryAt(to, head, token), run);
      token += run;
    }
  }
}

/** Gives each head of a layer other slots, where all hold the same number of tokens. */
function resize(store: HostLayer, slots: number, { kvHeads, headDim }: HeadShape): void {
  const [before, held] = [store.slots ?? 0, longest(store)];
  const entries = slots * kvHeads;
  const floats = entries * headDim * Float32Array.BYTES_PER_ELEMENT;
  const positions = entries * Int32Array.BYTES_PER_ELEMENT;
  const move = (head: number): void => {
    const [from, to] = [head * before, head * slots];
    const part = (width: number) => [to * width, from * width, (from + held) * width] as const;
    store.keys.copyWithin(...part(headDim));
    store.values.copyWithin(...part(headDim));
    store.positions.copyWithin(...part(1));
  };
  // The first head stays where it is; the others are moved before memory goes, or after it came.
  if (slots < before) { for (let head = 1; head < kvHeads; head++) move(head); }
  store.keys = new Float32Array(resized(store.keys.buffer, floats));
  store.values = new Float32Array(resized(store.values.buffer, floats));
  store.positions = new Int32Array(resized(store.positions.buffer, positions));
  if (slots > before) { for (let head = kvHeads - 1; head > 0; head--) move(head); }
  store.slots = slots;
  store.starts = evenStarts(slots, kvHeads);
  store.entries = entries;
}

function copyPositions(positions: Int32Array): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(allocate(positions.byteLength));
  copy.set(positions);
  return copy;
}
