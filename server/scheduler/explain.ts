import type { Reading } from "../../runtime/evict/read.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import type { EvictionReport } from "./events.ts";

/** A token's text, and the share of layers and KV heads that kept it, 0 to 1. */
export type KeptToken = NonNullable<EvictionReport["tokens"]>[number];

/** Each token of a prompt, and the share of layers and KV heads that kept it. */
export function keptTokens(
  tokenizer: Tokenizer,
  ids: readonly number[],
  reading: Reading,
): readonly KeptToken[] {
  const shares = keptShares(ids.length, reading);
  return ids.map((id, index) => ({ text: tokenizer.decode([id]), kept: shares[index] ?? 0 }));
}

/** Of each token of a prompt the share of layers and KV heads that kept it. */
export function keptShares(tokens: number, { kept }: Pick<Reading, "kept">): readonly number[] {
  const heads = kept.flat();
  const counts = new Uint32Array(tokens);
  for (const indices of heads) {
    for (const index of indices) counts[index] = (counts[index] ?? 0) + 1;
  }
  return Array.from(counts, (count) => count / Math.max(1, heads.length));
}

/** The steps that shares are remembered in: none, all, and enough between for a picture. */
const STEPS = 255;

/** Shares as a text, a byte each. */
export function packShares(shares: readonly number[]): string {
  return Uint8Array.from(
    shares,
    (share) =>
      share <= 0
        ? 0
        : share >= 1
        ? STEPS
        : Math.min(STEPS - 1, Math.max(1, Math.round(share * STEPS))),
  ).toBase64();
}

/** What {@linkcode packShares} made. */
export function unpackShares(text: string): readonly number[] {
  return Array.from(Uint8Array.fromBase64(text), (byte) => byte / STEPS);
}
