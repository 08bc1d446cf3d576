import { compareWithReference } from "../evaluation/critical_hits.ts";
import type { HeadShape } from "../kernels/attention_nodes.ts";
import { groupMost } from "../policies/kernels/group_most.ts";
import { groupMean } from "../runtime/engine/view_parts.ts";
import type { TrainingSettings } from "./settings.ts";
import { topK } from "../runtime/evict/top_k.ts";

/** Budgets that hit rates are measured at, in tokens per KV head. */
const VALIDATION_BUDGETS = [64, 128, 256] as const;

/** How well soft tokens choose, by budget: means over examples, layers and KV heads. */
export interface Validation {
  /** Mean loss. */
  readonly loss: number;
  /** Critical hit rate by budget. */
  readonly hitRate: Readonly<Record<string, number>>;
  /** Attention mass by budget. */
  readonly attentionMass: Readonly<Record<string, number>>;
}

/** The maps of one held-out example. */
export interface ValidationMaps {
  readonly loss: number;
  /** `[layers, groups, heads, tokens]`: the mean over the groups is compared. */
  readonly soft: Float32Array;
  /** `[layers, heads, tokens]`. */
  readonly response: Float32Array;
  /** Groups of soft tokens. @default {1} */
  readonly groups?: number;
}

/** Sizes, and what a KV head ranks tokens by. */
export interface ValidationShape extends HeadShape {
  readonly layers: number;
  /** `max`: the largest number of its group's query heads; otherwise their mean. @default {"heads"} */
  readonly average?: TrainingSettings["average"];
}

/**
 * Compares what soft tokens attend to with what the answers attend to, without pooling and without
 * forced tokens. Budgets that cover a prompt leave it out.
 */
export async function validate(
  maps: AsyncIterable<ValidationMaps>,
  { heads, kvHeads, layers, average = "heads" }: ValidationShape,
): Promise<Validation> {
  const sums = VALIDATION_BUDGETS.map((budget) => ({ budget, hits: 0, mass: 0, count: 0 }));
  let loss = 0;
  let examples = 0;
  for await (const { loss: own, soft: grouped, response, groups = 1 } of maps) {
    loss += own;
    examples++;
    const soft = meanOfGroups(grouped, layers, groups);
    const plane = soft.length / layers;
    const length = plane / heads;
    for (let layer = 0; layer < layers; layer++) {
      const [judged, wanted] = [soft, response].map((map) =>
        overGroups(map.subarray(layer * plane, (layer + 1) * plane), {
          heads,
          kvHeads,
          length,
          average,
        })
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

function overGroups(
  map: Float32Array,
  { heads, kvHeads, length, average }: Pick<ValidationShape, "heads" | "kvHeads" | "average"> & {
    readonly length: number;
  },
): Float32Array {
  if (average === "max") return groupMost(map, { heads, kvHeads, length });
  return groupMean(map, heads, kvHeads, length);
}

function meanOfGroups(maps: Float32Array, layers: number, groups: number): Float32Array {
  if (groups === 1) return maps;
  const plane = maps.length / layers / groups;
  return Float32Array.from({ length: layers * plane }, (_, index) => {
    const from = Math.floor(index / plane) * groups * plane + index % plane;
    let sum = 0;
    for (let group = 0; group < groups; group++) sum += maps[from + group * plane] ?? 0;
    return sum / groups;
  });
}
