import type {
  EvictionPolicy,
  LayerView,
  Policy,
  Protection,
  ScorerPolicy,
} from "../../policies/policy.ts";
import { BudgetError, PolicyError } from "../errors.ts";
import { topK } from "./top_k.ts";

/**
 * Turns a policy that scores into one that selects: per KV head the protected tokens, then the best
 * of the rest. A policy that selects already is returned as it is.
 *
 * @throws {PolicyError} From `select`, if the scores are not `[kvHeads × length]` numbers.
 * @throws {BudgetError} From `select`, if there are more protected tokens than tokens to keep.
 *
 * @example
 * ```ts
 * import type { LayerView } from "../../policies/policy.ts";
 * import { lift } from "./lift.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { select } = lift({
 *   name: "newest",
 *   evidence: { kind: "none" },
 *   protect: { sinks: 1 },
 *   score: ({ length }) => Float32Array.from({ length }, (_, index) => index),
 * });
 * const layer = { layer: 0, kvHeads: 1, length: 5 } as LayerView;
 * assertEquals(await select(layer, 3), [new Int32Array([0, 3, 4])]);
 * ```
 */
export function lift(policy: Policy): EvictionPolicy {
  if ("select" in policy) return policy;
  const { name, paper, evidence, options, allocate, phases, evicts } = policy;
  return {
    name,
    evidence,
    ...(paper === undefined ? {} : { paper }),
    ...(options === undefined ? {} : { options }),
    ...(allocate === undefined ? {} : { allocate }),
    ...(phases === undefined ? {} : { phases }),
    ...(evicts === undefined ? {} : { evicts }),
    async select(layer, keep) {
      const { sinks, recent } = await protectedTokens(policy, layer, keep);
      const scores = await checkedScores(policy, layer);
      const { kvHeads, length } = layer;
      return Array.from({ length: kvHeads }, (_, head) => {
        const ofHead = scores.subarray(head * length, (head + 1) * length);
        return selectTokens(ofHead, keep, sinks, recent);
      });
    },
  };
}

/** The first `sinks`, the last `recent` and the best between them, ascending. */
function selectTokens(
  scores: Float32Array,
  keep: number,
  sinks: number,
  recent: number,
): Int32Array {
  const { length } = scores;
  const kept = new Int32Array(keep);
  const best = topK(scores.subarray(sinks, length - recent), keep - sinks - recent);
  for (let i = 0; i < sinks; i++) kept[i] = i;
  for (let i = 0; i < best.length; i++) kept[sinks + i] = sinks + (best[i] ?? 0);
  for (let i = 1; i <= recent; i++) kept[keep - i] = length - i;
  return kept;
}

async function protectedTokens(
  policy: ScorerPolicy,
  { layer, length }: LayerView,
  keep: number,
): Promise<Required<Protection>> {
  const { protect = {} } = policy;
  const given = typeof protect === "function" ? await protect(keep, length) : protect;
  if (typeof given !== "object" || given === null) {
    throw new PolicyError(
      `Policy '${policy.name}' broke its contract in layer ${layer}: 'protect' must give an object ` +
        `like { sinks: 4, recent: 32 }, got ${kindOf(given)}`,
    );
  }
  const { sinks = 0, recent = 0 } = given;
  for (const [kind, count] of Object.entries({ sinks, recent })) {
    if (!Number.isInteger(count) || count < 0) {
      throw new PolicyError(
        `Policy '${policy.name}' broke its contract in layer ${layer}: '${kind}' of what it protects ` +
          `must be an integer of at least 0, got ${count}`,
      );
    }
  }
  if (sinks + recent > keep) {
    throw new BudgetError(
      `Cannot keep ${keep} of ${length} tokens in layer ${layer} with policy '${policy.name}': it ` +
        `always keeps ${sinks + recent} (${sinks} first, ${recent} last); give a budget of at ` +
        `least ${sinks + recent} tokens or let the policy protect fewer`,
    );
  }
  return { sinks, recent };
}

/**
 * A policy's scores of a layer.
 *
 * @throws {PolicyError} If they are not `[kvHeads × length]` numbers.
 */
export async function checkedScores(policy: ScorerPolicy, layer: LayerView): Promise<Float32Array> {
  const scores = await policy.score(layer);
  checkScores(scores, policy, layer);
  return scores;
}

function checkScores(scores: unknown, { name }: ScorerPolicy, layer: LayerView): void {
  const { kvHeads, length } = layer;
  const expected = kvHeads * length;
  if (!(scores instanceof Float32Array) || scores.length !== expected) {
    const got = scores instanceof Float32Array ? `${scores.length} numbers` : kindOf(scores);
    throw new PolicyError(
      `Policy '${name}' broke its contract in layer ${layer.layer}: 'score' must give a Float32Array ` +
        `of ${kvHeads} × ${length} = ${expected} numbers, got ${got}`,
    );
  }
  const index = scores.findIndex(Number.isNaN);
  if (index >= 0) {
    throw new PolicyError(
      `Policy '${name}' broke its contract in layer ${layer.layer}: the score of token ` +
        `${index % length} for KV head ${Math.floor(index / length)} is NaN, it must be a number`,
    );
  }
}

function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}
