import type { CacheShape } from "./bytes_per_token.ts";
import { longest } from "./layer_list.ts";
import { keepRows } from "./keep_rows.ts";
import { allocate, release, resized } from "./memory.ts";

/**
 * The arrays of one layer: entries of `headDim` numbers each, and their positions.
 *
 * While all KV heads hold the same number of tokens, entries lie token-major, `[tokens, kvHeads]`.
 * Heads that hold different numbers have a segment each, one behind the other.
 */
export interface HostLayer {
  /** Tokens of each KV head. */
  lengths: number[];
  /** First entry of each head's segment; absent where all hold the same number of tokens. */
  starts: number[] | undefined;
  /** Entries that there is room for, always a multiple of the KV heads. */
  entries: number;
  keys: Float32Array<ArrayBuffer>;
  values: Float32Array<ArrayBuffer>;
  positions: Int32Array<ArrayBuffer>;
}

type HeadShape = Pick<CacheShape, "kvHeads" | "headDim">;

/** Smallest capacity that growth by itself makes, in tokens. */
const FIRST_GROWTH = 16;

/** Tokens that a segment has to spare after it grew: its block. */
const BLOCK = 16;

/** Makes an empty layer. */
export function createStore(capacity: number, shape: HeadShape): HostLayer {
  const entries = capacity * shape.kvHeads;
  return {
    lengths: new Array<number>(shape.kvHeads).fill(0),
    starts: undefined,
    entries,
    ...arrays(entries, shape),
  };
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
  release(store.keys.buffer);
  release(store.values.buffer);
  release(store.positions.buffer);
  store.lengths.fill(0);
  store.entries = 0;
}

/** Makes room for more tokens. */
export function reserveStore(store: HostLayer, tokens: number, shape: HeadShape): void {
  if (store.starts) {
    if (!hasRoom(store, tokens)) layOut(store, store.lengths.map((one) => one + tokens), shape);
    return;
  }
  const needed = (longest(store) + tokens) * shape.kvHeads;
  if (needed > store.entries) resize(store, needed, shape);
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
  if (store.starts) {
    if (!hasRoom(store, tokens)) {
      layOut(store, store.lengths.map((one) => one + tokens + BLOCK), shape);
    }
    for (let head = 0; head < kvHeads; head++) {
      for (let token = 0; token < tokens; token++) {
        const to = entryAt(store, kvHeads, head, (store.lengths[head] ?? 0) + token);
        const from = token * row + head * headDim;
        store.keys.set(keys.subarray(from, from + headDim), to * headDim);
        store.values.set(values.subarray(from, from + headDim), to * headDim);
        store.positions[to] = position + token;
      }
    }
  } else {
    const length = longest(store);
    const needed = length + tokens;
    const capacity = store.entries / kvHeads;
    if (needed > capacity) {
      const grown = Math.max(FIRST_GROWTH, Math.ceil(capacity * 1.5));
      resize(store, Math.max(needed, grown) * kvHeads, shape);
    }
    store.keys.set(keys, length * row);
    store.values.set(values, length * row);
    for (let token = 0; token < tokens; token++) {
      const start = (length + token) * kvHeads;
      store.positions.fill(position + token, start, start + kvHeads);
    }
  }
  store.lengths = store.lengths.map((one) => one + tokens);
}

/** Keeps only some entries of each head; the rest of the memory goes back. */
export function compactStore(
  store: HostLayer,
  kept: readonly Int32Array[],
  shape: HeadShape,
): void {
  const { headDim, kvHeads } = shape;
  const counts = kept.map(({ length }) => length);
  const [first = 0] = counts;
  const alike = counts.every((count) => count === first);
  if (!store.starts && alike) {
    if (first < longest(store)) {
      keepRows(store.keys, kept, headDim);
      keepRows(store.values, kept, headDim);
      keepRows(store.positions, kept, 1);
      store.lengths = counts;
    }
    resize(store, first * kvHeads, shape);
    return;
  }
  const old = { ...store };
  const next = alike ? createStore(first, shape) : segmented(counts, shape);
  copyEntries(old, next, kept, shape);
  takeOver(store, next, counts);
  releaseStore(old);
}

/** A copy of the first tokens of each head, with no memory to spare. */
export function copyStore(
  store: HostLayer,
  lengths: readonly number[],
  shape: HeadShape,
): HostLayer {
  const copy = store.starts ? segmented(lengths, shape) : createStore(lengths[0] ?? 0, shape);
  if (store.starts) copyEntries(store, copy, lengths, shape);
  else {
    copy.keys.set(store.keys.subarray(0, copy.keys.length));
    copy.values.set(store.values.subarray(0, copy.values.length));
    copy.positions.set(store.positions.subarray(0, copy.positions.length));
  }
  copy.lengths = [...lengths];
  return copy;
}

/** Index of an entry in the arrays. */
export function entryAt(
  { starts }: HostLayer,
  kvHeads: number,
  head: number,
  token: number,
): number {
  return starts ? (starts[head] ?? 0) + token : token * kvHeads + head;
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
  return { lengths: capacities.map(() => 0), starts, entries, ...arrays(entries, shape) };
}

function hasRoom({ lengths, starts = [], entries }: HostLayer, tokens: number): boolean {
  return lengths.every((length, head) =>
    (starts[head] ?? 0) + length + tokens <= (starts[head + 1] ?? entries)
  );
}

/** Puts the arrays of another layer in the place of a layer's own, which the caller releases. */
function takeOver(store: HostLayer, next: HostLayer, lengths: number[]): void {
  store.lengths = lengths;
  store.starts = next.starts;
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
  { kvHeads, headDim }: HeadShape,
): void {
  const copy = (source: number, target: number, count: number): void => {
    const [start, end] = [source * headDim, (source + count) * headDim];
    to.keys.set(from.keys.subarray(start, end), target * headDim);
    to.values.set(from.values.subarray(start, end), target * headDim);
    to.positions.set(from.positions.subarray(source, source + count), target);
  };
  for (const [head, which] of chosen.entries()) {
    if (typeof which === "number" && from.starts && to.starts) {
      copy(entryAt(from, kvHeads, head, 0), entryAt(to, kvHeads, head, 0), which);
      continue;
    }
    const count = typeof which === "number" ? which : which.length;
    for (let token = 0; token < count; token++) {
      const index = typeof which === "number" ? token : which[token] ?? 0;
      copy(entryAt(from, kvHeads, head, index), entryAt(to, kvHeads, head, token), 1);
    }
  }
}

function resize(store: HostLayer, entries: number, { headDim }: HeadShape): void {
  const floats = entries * headDim * Float32Array.BYTES_PER_ELEMENT;
  store.keys = new Float32Array(resized(store.keys.buffer, floats));
  store.values = new Float32Array(resized(store.values.buffer, floats));
  store.positions = new Int32Array(
    resized(store.positions.buffer, entries * Int32Array.BYTES_PER_ELEMENT),
  );
  store.entries = entries;
}
