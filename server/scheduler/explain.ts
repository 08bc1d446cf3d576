import type { Reading } from "../../runtime/evict/read.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import type { EvictionReport } from "./events.ts";

/** Each token of a prompt, and the share of layers and KV heads that kept it. */
export function keptTokens(
  tokenizer: Tokenizer,
  ids: readonly number[],
  { kept }: Reading,
): NonNullable<EvictionReport["tokens"]> {
  const heads = kept.flat();
  const counts = new Uint32Array(ids.length);
  for (const indices of heads) {
    for (const index of indices) counts[index] = (counts[index] ?? 0) + 1;
  }
  return ids.map((id, index) => ({
    text: tokenizer.decode([id]),
    kept: (counts[index] ?? 0) / Math.max(1, heads.length),
  }));
}
