import type { Sequence } from "../engine/sequence.ts";
import { tokenOf } from "../rotary/position_map.ts";

/** A stretch of tokens of a text, counted from 0. */
export interface TokenSpan {
  /** Its first token. */
  readonly from: number;
  /** The token behind its last one. */
  readonly to: number;
}

/** The same tokens in as few spans as possible, in order. */
export function mergedSpans(spans: readonly TokenSpan[]): readonly TokenSpan[] {
  const merged: { from: number; to: number }[] = [];
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

/** Tokens of a text of some length that lie in merged spans. */
export function countPinned(spans: readonly TokenSpan[], tokens: number): number {
  return spans.reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, tokens) - from), 0);
}

/**
 * Entries of a layer that no eviction may take.
 *
 * @param spans Merged, in tokens of the text.
 * @returns Ascending indices per KV head.
 */
export function pinnedEntries(
  { cache, positionMap }: Pick<Sequence, "cache" | "positionMap">,
  spans: readonly TokenSpan[],
  layer: number,
): readonly Int32Array[] {
  const positions = cache.positions(layer);
  let start = 0;
  return cache.lengths(layer).map((length, head) => {
    const ofHead = positions.subarray(start, start += length);
    const found: number[] = [];
    let span = 0;
    for (const [index, position] of ofHead.entries()) {
      const token = tokenOf(positionMap, layer, head, position);
      while (span < spans.length && token >= (spans[span]?.to ?? 0)) span++;
      if (token >= (spans[span]?.from ?? Infinity)) found.push(index);
    }
    return Int32Array.from(found);
  });
}
