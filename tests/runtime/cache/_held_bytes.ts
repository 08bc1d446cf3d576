import { bytesPerToken } from "../../../runtime/cache/bytes_per_token.ts";
import type { KvCache } from "../../../runtime/cache/kv_cache.ts";

/** Bytes of the entries that a cache of 32-bit floats holds, without spare capacity. */
export function heldBytes(cache: KvCache): number {
  const entry = bytesPerToken({ layers: 1, kvHeads: 1, headDim: cache.headDim });
  const lengths = Array.from({ length: cache.layers }, (_, layer) => cache.lengths(layer)).flat();
  return entry * lengths.reduce((sum, length) => sum + length, 0);
}
