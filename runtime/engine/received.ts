import type { KvCache } from "../cache/kv_cache.ts";
import { addRows, emptyRows, rowsOfHead } from "./received_rows.ts";

/** Attention that held tokens have received since they were read: rows of query heads, per layer. */
export type Received = readonly Float32Array[];

/**
 * Adds what tokens received earlier to what all that are held received just now.
 *
 * @param read Tokens that were read since.
 * @param group Query heads of a KV head.
 */
export function withEarlier(
  received: Received,
  earlier: Received | undefined,
  { cache, read, group }: {
    readonly cache: KvCache;
    readonly read: number;
    readonly group: number;
  },
): Received {
  if (!earlier) return received;
  return received.map((rows, layer) => {
    const total = rows.slice();
    const lengths = cache.lengths(layer);
    const added = lengths.map((length) => length - read);
    addRows(total, earlier[layer] ?? new Float32Array(), { group, lengths, added });
    return total;
  });
}

/**
 * What the tokens that are kept have received.
 *
 * @param lengths What each KV head of a layer held before.
 * @param kept `[layer][KV head]`: indices.
 * @param group Query heads of a KV head.
 */
export function receivedByKept(
  received: Received,
  lengths: readonly (readonly number[])[],
  kept: readonly (readonly Int32Array[])[],
  group: number,
): Received {
  return received.map((rows, layer) => {
    const heads = kept[layer] ?? [];
    const left = emptyRows(group, heads.map((indices) => indices.length));
    let to = 0;
    for (const [head, indices] of heads.entries()) {
      const held = lengths[layer]?.[head] ?? 0;
      const ofHead = rowsOfHead(rows, group, lengths[layer] ?? [], head);
      for (let row = 0; row < group; row++) {
        for (const index of indices) left[to++] = ofHead[row * held + index] ?? 0;
      }
    }
    return left;
  });
}
