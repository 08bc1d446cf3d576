import type { HostKvCache } from "../../cache/kv_cache.ts";

/** Keys of a layer as kernels take them. */
export interface KeyBlock {
  /** `[length, kvHeads · headDim]`, or `[length, headDim]` of one KV head. */
  readonly keys: Float32Array;
  /** That KV head; absent where the keys are those of all. */
  readonly head?: number;
}

/** Keys of a layer: of all KV heads at once, or one by one where these hold different numbers. */
export function keysByHead(cache: HostKvCache, layer: number): readonly KeyBlock[] {
  if (!cache.segments(layer)) return [{ keys: cache.keys(layer) }];
  return cache.lengths(layer).map((_, head) => ({ keys: cache.head(layer, head).keys, head }));
}

/** One KV head's columns of `[rows, kvHeads · width]`: `[rows, width]`. */
export function columnsOfHead(
  rows: Float32Array,
  { kvHeads, width, head }: {
    readonly kvHeads: number;
    readonly width: number;
    readonly head: number;
  },
): Float32Array {
  const count = rows.length / (kvHeads * width);
  const columns = new Float32Array(count * width);
  for (let row = 0; row < count; row++) {
    const from = (row * kvHeads + head) * width;
    columns.set(rows.subarray(from, from + width), row * width);
  }
  return columns;
}

/** Arrays one behind the other. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Keys of some entries, `[entries, headDim]`, of those of one KV head. */
export function keysOf(keys: Float32Array, headDim: number, entries: Int32Array): Float32Array {
  const rows = new Float32Array(entries.length * headDim);
  for (const [row, entry] of entries.entries()) {
    rows.set(keys.subarray(entry * headDim, (entry + 1) * headDim), row * headDim);
  }
  return rows;
}
