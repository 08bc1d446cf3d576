/**
 * The critical KV hit rate (Judge Q, Eq. 6) and what goes with it, for one layer.
 *
 * @module
 */
import { topK } from "../runtime/evict/top_k.ts";

/** Last prompt tokens whose share of the attention tells a judge that looks at the end only. */
export const LOCAL_TOKENS = 32;

/** What a kept set of tokens catches of what the answer attends to, both from 0 to 1. */
export interface Catch {
  /** Share of the reference set that is kept. */
  readonly hitRate: number;
  /** Share of the answer's attention to the prompt that the kept tokens hold. */
  readonly attentionMass: number;
  /** The hit rate of each KV head. */
  readonly byHead: readonly number[];
}

/**
 * Compares the kept tokens of a layer with its reference set: the `budget` tokens of each KV head
 * with the highest oracle score, ties going to the lower index.
 *
 * @param kept Kept indices, ascending, one array per KV head.
 * @param scores Attention of the answer's queries, averaged over each group, `[kvHeads × length]`.
 * @param budget Tokens of the reference set per KV head, at most `length`.
 * @returns The means over the KV heads, and the hit rate of each.
 *
 * @example
 * ```ts
 * import { compareWithReference } from "./critical_hits.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const scores = new Float32Array([0.5, 0.125, 0.25, 0.125]);
 * assertEquals(compareWithReference([new Int32Array([0, 3])], scores, 2), {
 *   hitRate: 0.5,
 *   attentionMass: 0.625,
 *   byHead: [0.5],
 * });
 * ```
 */
export function compareWithReference(
  kept: readonly Int32Array[],
  scores: Float32Array,
  budget: number,
): Catch {
  const heads = kept.length;
  const length = scores.length / heads;
  const byHead: number[] = [];
  let attentionMass = 0;
  for (const [head, indices] of kept.entries()) {
    const ofHead = scores.subarray(head * length, (head + 1) * length);
    byHead.push(countCommon(indices, topK(ofHead, budget)) / budget);
    let held = 0;
    for (const index of indices) held += ofHead[index] ?? 0;
    attentionMass += held / total(ofHead) / heads;
  }
  const hitRate = byHead.reduce((sum, rate) => sum + rate, 0) / heads;
  return { hitRate, attentionMass, byHead };
}

/** Entries that two ascending arrays have in common. */
function countCommon(a: Int32Array, b: Int32Array): number {
  let common = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const difference = (a[i] ?? 0) - (b[j] ?? 0);
    if (difference === 0) common++;
    if (difference <= 0) i++;
    if (difference >= 0) j++;
  }
  return common;
}

/**
 * Share of the attention to the prompt that its last {@linkcode LOCAL_TOKENS} tokens hold: the mean
 * over the rows.
 *
 * @param attention `[rows × length]`, a row per head.
 * @param length Tokens of the prompt.
 *
 * @example
 * ```ts
 * import { localShare } from "./critical_hits.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(localShare(new Float32Array(64).fill(0.25), 64), 0.5);
 * ```
 */
export function localShare(attention: Float32Array, length: number): number {
  const rows = attention.length / length;
  let share = 0;
  for (let row = 0; row < rows; row++) {
    const ofRow = attention.subarray(row * length, (row + 1) * length);
    share += total(ofRow.subarray(Math.max(0, length - LOCAL_TOKENS))) / total(ofRow) / rows;
  }
  return share;
}

function total(values: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += values[index] ?? 0;
  return sum;
}
