import { compareWithReference } from "../evaluation/critical_hits.ts";
import type { HeadShape } from "../kernels/attention_nodes.ts";
import { groupMean } from "../runtime/engine/view_parts.ts";
import { topK } from "../runtime/evict/top_k.ts";

/** Budgets that hit rates are measured at, in tokens per KV head. */
export const VALIDATION_BUDGETS = [64, 128, 256] as const;

/** How well soft tokens choose, by budget: means over examples, layers and KV heads. */
export interface Validation {
  /** Mean loss. */
  readonly loss: number;
  /** Critical hit rate by budget. */
  readonly hitRate: Readonly<Record<string, number>>;
  /** Attention mass by budget. */
  readonly attentionMass: Readonly<Record<string, number>>;
}

/** The maps of one held-out example, each `[layers, heads, tokens]`. */
export interface ValidationMaps {
  readonly loss: number;
  readonly soft: Float32Array;
  readonly response: Float32Array;
}

/**
 * Compares what soft tokens attend to with what the answers attend to, without pooling and without
 * forced tokens. Budgets that cover a prompt leave it out.
 */
export async function validate(
  maps: AsyncIterable<ValidationMaps>,
  { heads, kvHeads, layers }: HeadShape & { readonly layers: number },
): Promise<Validation> {
  const sums = VALIDATION_BUDGETS.map((budget) => ({ budget, hits: 0, mass: 0, count: 0 }));
  let loss = 0;
  let examples = 0;
  for await (const { loss: own, soft, response } of maps) {
    loss += own;
    examples++;
    const plane = soft.length / layers;
    const length = plane / heads;
    for (let layer = 0; layer < layers; layer++) {
      const [judged, wanted] = [soft, response].map((map) =>
        groupMean(map.subarray(layer * plane, (layer + 1) * plane), heads, kvHeads, length)
      );
      if (!judged || !wanted) continue;
      for (const sum of sums) {
        if (sum.budget >= length) continue;
        const kept = Array.from(
          { length: kvHeads },
          (_, head) => topK(judged.subarray(head * length, (head + 1) * length), sum.budget),
        );
        const { hitRate, attentionMass } = compareWithReference(kept, wanted, sum.budget);
        sum.hits += hitRate;
        sum.mass += attentionMass;
        sum.count++;
      }
    }
  }
  const counted = sums.filter(({ count }) => count > 0);
  return {
    loss: loss / examples,
    hitRate: Object.fromEntries(counted.map(({ budget, hits, count }) => [budget, hits / count])),
    attentionMass: Object.fromEntries(
      counted.map(({ budget, mass, count }) => [budget, mass / count]),
    ),
  };
}
