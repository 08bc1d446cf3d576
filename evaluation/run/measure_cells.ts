import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { BudgetError } from "../../runtime/errors.ts";
import type { KeptTokens } from "../../runtime/evict/choose.ts";
import { globalKept } from "../global_kept.ts";
import type { EvictedBy, EvictedWork, PromptEvidence } from "../prompt_evidence.ts";
import type { SampleMeasurement } from "./measurement.ts";
import type { CellRecord } from "./record.ts";

/** Name of the whole cache among the policies. */
export const FULL = "full";

/** What was made of a cache, and how good it is. */
export type Judged = Pick<CellRecord, "output" | "score" | "outputTokens">;

/** What {@linkcode measureCells} measures. */
export interface CellWork {
  /** What the whole cache gives, and the milliseconds that it took. */
  readonly full: Judged & { readonly decode: number };
  /** Makes something of what is kept. */
  from(kept: KeptTokens, by: EvictedBy): Promise<EvictedWork<Judged>>;
}

/**
 * Measures the whole cache and each policy at each budget. A policy that always keeps more than a
 * budget is recorded as a refusal.
 */
export async function measureCells(
  evidence: PromptEvidence,
  { policies, budgets, model: { config }, signal, now }: SampleMeasurement,
  { full: { decode, ...judged }, from }: CellWork,
): Promise<readonly CellRecord[]> {
  const total = evidence.tokens * globalLayers(config).length * config.kvHeads;
  const full: CellRecord = {
    policy: FULL,
    budget: null,
    ...judged,
    kept: [total, total],
    bytes: [evidence.bytes, evidence.bytes],
    times: { evict: 0, decode },
  };
  const cells = [full];
  for (const { label, policy } of policies) {
    if (policy.evicts === false) continue;
    for (const { label: budget, budget: amount } of budgets) {
      signal?.throwIfAborted();
      const base = { ...full, policy: label, budget };
      try {
        const begun = now();
        const kept = await evidence.keep(policy, amount);
        const chosen = now() - begun - evidence.readingTime(kept, policy);
        const { result, bytes, times } = await from(kept, { policy, budget: amount });
        cells.push({
          ...base,
          ...result,
          kept: [lengthOf(globalKept(kept, config)), total],
          bytes: [evidence.bytes, bytes],
          times: {
            evict: evidence.evidenceTime(policy) + chosen + times.compact,
            decode: times.work,
          },
        });
      } catch (error) {
        if (!(error instanceof BudgetError)) throw error;
        cells.push({ ...base, ...REFUSED, refused: error.message });
      }
    }
  }
  return cells;
}

function lengthOf(kept: KeptTokens): number {
  return kept.flat().reduce((sum, { length }) => sum + length, 0);
}

const REFUSED = {
  output: "",
  score: 0,
  outputTokens: 0,
  times: { evict: 0, decode: 0 },
} as const;
