import { policyMembers } from "../../policies/contract/members.ts";
import type { EvictionPolicy, LayerView, Policy, ScorerPolicy } from "../../policies/policy.ts";
import { chosenThere } from "./chosen_there.ts";
import { dividedCounts, type LayerChoice, type ScoredHead } from "./divide.ts";
import { protectedTokens } from "./protection.ts";
import { checkedRescores, checkedScores } from "./scores.ts";
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
 * import { lift } from "./select.ts";
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
  const {
    score: _score,
    protect: _protect,
    allocateHeads: _allocateHeads,
    acrossLayers: _acrossLayers,
    secondStage: _secondStage,
    evenHeads: _evenHeads,
    threshold: _threshold,
    forModel: _forModel,
    ...shared
  } = policyMembers(policy);
  return { ...shared, select: (layer, keep) => selectFrom(policy, [layer], keep) };
}

/**
 * Kept indices of all KV heads, from views that show them all at once or one by one.
 *
 * @throws {PolicyError} If the policy breaks its contract.
 * @throws {BudgetError} If there are more protected tokens than tokens to keep.
 */
export async function selectFrom(
  policy: ScorerPolicy,
  views: readonly LayerView[],
  keep: number,
): Promise<readonly Int32Array[]> {
  const there = await chosenThere(policy, [{ policy, views, keep }]);
  if (there) return there.flat();
  const heads = await scoredHeads(policy, views, keep);
  const counts = await dividedCounts(policy, heads, keep, `layer ${views[0]?.layer ?? 0}`);
  return await bestOf(policy, views, heads, counts);
}

/**
 * Kept indices of all KV heads of some layers, whose budget is divided among all of these heads.
 *
 * @param layers What is shown of each, and how many tokens each KV head of it keeps on average.
 * @throws {PolicyError} If the policy breaks its contract.
 * @throws {BudgetError} If there are more protected tokens than tokens to keep.
 */
export async function selectAcross(
  policy: ScorerPolicy,
  layers: readonly LayerChoice[],
): Promise<readonly (readonly Int32Array[])[]> {
  const there = await chosenThere(policy, layers);
  if (there) return there;
  const byLayer: (readonly ScoredHead[])[] = [];
  for (const { policy: asked, views, keep } of layers) {
    byLayer.push(await scoredHeads(asked, views, keep));
  }
  const heads = byLayer.flat();
  const total = layers.reduce(
    (sum, { keep }, layer) => sum + keep * (byLayer[layer]?.length ?? 0),
    0,
  );
  const counts = await dividedCounts(policy, heads, total / heads.length, "all layers");
  let from = 0;
  const kept: (readonly Int32Array[])[] = [];
  for (const [layer, ofLayer] of byLayer.entries()) {
    const { policy: asked = policy, views = [] } = layers[layer] ?? {};
    kept.push(await bestOf(asked, views, ofLayer, counts.slice(from, from += ofLayer.length)));
  }
  return kept;
}

/** The scores of all KV heads of a layer, and what is protected. */
async function scoredHeads(
  policy: ScorerPolicy,
  views: readonly LayerView[],
  keep: number,
): Promise<readonly ScoredHead[]> {
  const heads: ScoredHead[] = [];
  for (const view of views) {
    const { kvHeads, length } = view;
    const protection = await protectedTokens(policy, view, keep);
    const scores = await checkedScores(policy, view);
    for (let head = 0; head < kvHeads; head++) {
      const [from, to] = [head * length, (head + 1) * length];
      heads.push({
        ...protection,
        length,
        scores: scores.subarray(from, to),
      });
    }
  }
  return heads;
}

/** The best tokens of each head, as many as it keeps. */
async function bestOf(
  policy: ScorerPolicy,
  views: readonly LayerView[],
  heads: readonly ScoredHead[],
  counts: readonly number[],
): Promise<readonly Int32Array[]> {
  const { secondStage, threshold = -Infinity } = policy;
  const { first = 1 } = secondStage ?? {};
  const secondScores = await rescoredHeads(policy, views, heads, counts);
  return heads.map(({ scores, sinks, recent }, head) => {
    const rescored = secondScores[head];
    const count = counts[head] ?? 0;
    if (!rescored) {
      const chosen = selectTokens(scores, count, sinks, recent);
      return threshold === -Infinity
        ? chosen
        : aboveThreshold(chosen, { scores, sinks, recent }, threshold);
    }
    const firstCount = Math.max(sinks + recent, Math.floor(first * count));
    return joinBest(selectTokens(scores, firstCount, sinks, recent), rescored, count);
  });
}

/** Scores of the second stage, of all KV heads; none where the policy has no such stage. */
async function rescoredHeads(
  policy: ScorerPolicy,
  views: readonly LayerView[],
  heads: readonly ScoredHead[],
  counts: readonly number[],
): Promise<readonly Float32Array[]> {
  const rescored: Float32Array[] = [];
  for (const view of policy.secondStage ? views : []) {
    const { kvHeads, length } = view;
    const from = rescored.length;
    const scores = new Float32Array(kvHeads * length);
    for (let head = 0; head < kvHeads; head++) {
      scores.set(heads[from + head]?.scores ?? [], head * length);
    }
    const found = await checkedRescores(policy, view, scores, counts.slice(from, from + kvHeads));
    for (let head = 0; head < kvHeads && found; head++) {
      rescored.push(found.subarray(head * length, (head + 1) * length));
    }
  }
  return rescored;
}

/** Those that score enough or are protected; the best one where there are none: no head is left empty. */
function aboveThreshold(
  chosen: Int32Array,
  { scores, sinks, recent }: Pick<ScoredHead, "scores" | "sinks" | "recent">,
  threshold: number,
): Int32Array {
  const end = scores.length - recent;
  const score = (token: number) => scores[token] ?? 0;
  const left = chosen.filter((token) => token < sinks || token >= end || score(token) >= threshold);
  if (left.length > 0) return left;
  return chosen.slice(0, 1).map((first) =>
    chosen.reduce((best, token) => score(token) > score(best) ? token : best, first)
  );
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

/** Some tokens and the best of the others, `count` in all, ascending. */
function joinBest(chosen: Int32Array, scores: Float32Array, count: number): Int32Array {
  const left = scores.length - chosen.length;
  const [others, otherScores] = [new Int32Array(left), new Float32Array(left)];
  for (let token = 0, place = 0, known = 0; place < left; token++) {
    if (token === chosen[known]) known++;
    else {
      others[place] = token;
      otherScores[place++] = scores[token] ?? 0;
    }
  }
  const kept = new Int32Array(count);
  kept.set(chosen);
  const best = topK(otherScores, count - chosen.length);
  for (let at = 0; at < best.length; at++) kept[chosen.length + at] = others[best[at] ?? 0] ?? 0;
  return kept.sort();
}
