import type { HostKvCache } from "../../../runtime/cache/kv_cache.ts";

/** The shape of caches whose rows tell where they belong. */
export const SHAPE = { layers: 2, kvHeads: 2, headDim: 3 };
/** Numbers of a token's keys. */
export const ROW = SHAPE.kvHeads * SHAPE.headDim;

/** Rows that are told apart by their position: key `p.hd`, value `-p.hd`. */
export function rows(
  position: number,
  tokens: number,
): { keys: Float32Array; values: Float32Array } {
  const keys = Float32Array.from(
    { length: tokens * ROW },
    (_, index) => position + Math.floor(index / ROW) + (index % ROW) / 16,
  );
  return { keys, values: keys.map((key) => -key) };
}

/** Appends such rows to a layer. */
export function append(cache: HostKvCache, layer: number, position: number, tokens: number): void {
  const { keys, values } = rows(position, tokens);
  cache.append(layer, keys, values, position);
}
