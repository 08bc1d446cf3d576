import type { LayerView, ScorerPolicy } from "../../policies/policy.ts";
import { PolicyError } from "../errors.ts";
import { dividedCounts, type LayerChoice, type ScoredHead } from "./divide.ts";
import { type LayerScorer, type RankedScores, type Ranking, scorerOf } from "./layer_scorer.ts";
import { forLayers } from "./layers_together.ts";
import { protectedTokens } from "./protection.ts";
import type { PinnedScore } from "./score_view.ts";
import { firstShare } from "./scores.ts";

/** A view, and how its scores are ranked. */
interface Judged extends RankedScores {
  readonly view: LayerView;
}

/**
 * Kept indices of all KV heads of some layers, layer by layer, scored, divided and chosen where the entries
 * lie: only indices come back.
 *
 * @param layers What is shown of each; of several, their heads share one budget.
 * @returns `undefined` where entries lie in main memory, or scores must be brought there.
 */
export async function chosenThere(
  policy: ScorerPolicy,
  layers: readonly LayerChoice[],
): Promise<readonly (readonly Int32Array[])[] | undefined> {
  const { score, secondStage, allocateHeads, threshold } = policy;
  const { kernel } = score;
  const again = secondStage?.rescore.kernel;
  const divided = allocateHeads === undefined || allocateHeads.division !== undefined;
  if (!kernel || !divided || (secondStage && !again)) return undefined;
  const shown = layers.flatMap(({ policy: asked, views, keep }) =>
    views.flatMap((view) => {
      const scorer = scorerOf(view);
      return scorer ? [{ asked, view, keep, scorer }] : [];
    })
  );
  const [first] = shown;
  const wanted = layers.reduce((sum, { views }) => sum + views.length, 0);
  if (!first || shown.length !== wanted) return undefined;
  const [only, ...others] = layers;
  if (only && others.length === 0 && !allocateHeads && threshold === undefined) {
    return [await bestOfLayer(only, shown.map(({ scorer }) => scorer))];
  }
  using owned = new DisposableStack();
  const judged = await forLayers({ home: "device" }, shown, async (one): Promise<Judged> => {
    const { asked, view, keep, scorer } = one;
    const { pinned }: PinnedScore = asked.score;
    const protection = await protectedTokens(asked, view, keep);
    const held = owned.use(await scorer.held(kernel, again));
    return { ...protection, view, held, pinned: pinned?.(view) };
  });
  const where = policy.acrossLayers ? "all layers" : `layer ${first.view.layer}`;
  const kept = await ranked(
    policy,
    judged,
    { keep: meanKeep(layers), where },
    first.scorer.ranking,
  );
  let from = 0;
  return layers.map(({ views }) => {
    const heads = views.reduce((sum, { kvHeads }) => sum + kvHeads, 0);
    return kept.slice(from, from += heads);
  });
}

/** What is divided among heads, and of what, for messages. */
interface Division {
  /** Tokens per KV head, on average. */
  readonly keep: number;
  readonly where: string;
}

/** Tokens per KV head, on average. */
function meanKeep(layers: readonly LayerChoice[]): number {
  const heads = layers.map(({ views }) => views.reduce((sum, { kvHeads }) => sum + kvHeads, 0));
  const total = layers.reduce((sum, { keep }, layer) => sum + keep * (heads[layer] ?? 0), 0);
  return total / heads.reduce((sum, count) => sum + count, 0);
}

/** One layer, whose heads keep equally many: chosen in the run that scores it. */
async function bestOfLayer(
  { policy, views, keep }: LayerChoice,
  scorers: readonly LayerScorer[],
): Promise<readonly Int32Array[]> {
  const { kernel, pinned }: PinnedScore = policy.score;
  const again = policy.secondStage?.rescore.kernel;
  const first = firstShare(policy);
  const kept: Int32Array[] = [];
  for (const [index, view] of views.entries()) {
    const { sinks, recent } = await protectedTokens(policy, view, keep);
    const count = Math.min(keep, view.length);
    const firstCount = Math.max(sinks + recent, Math.floor(first * count));
    const best = kernel
      ? await scorers[index]?.best(kernel, {
        ...{ count, sinks, recent },
        ...(pinned ? { pinned: pinned(view) } : {}),
        ...(again ? { second: { kernel: again, firstCount } } : {}),
      })
      : undefined;
    for (const ofHead of best ?? []) kept.push(ofHead.sort());
  }
  return kept;
}

/** Ranks scores that were made; heads keep what the policy's division gives them. */
async function ranked(
  policy: ScorerPolicy,
  judged: readonly Judged[],
  { keep, where }: Division,
  ranking: Ranking,
): Promise<readonly Int32Array[]> {
  const { allocateHeads, secondStage, threshold } = policy;
  const left = secondStage ? undefined : threshold;
  let counts: readonly number[];
  if (allocateHeads?.division?.kind === "best") {
    const safe = safeCount(policy, allocateHeads.division.safe(keep), keep);
    const held = judged.reduce((sum, { view: { kvHeads, length } }) => sum + kvHeads * length, 0);
    const heads = judged.reduce((sum, { view: { kvHeads } }) => sum + kvHeads, 0);
    const count = Math.min(held, Math.round(keep * heads));
    const best = await ranking.ofAll(judged, { count, safe, threshold: left });
    if (!secondStage) return best;
    counts = best.map(({ length }) => length);
  } else counts = await countsBySize(policy, judged, { keep, where });
  const share = firstShare(policy);
  const protectedBy = judged.flatMap(({ view: { kvHeads }, sinks, recent }) =>
    new Array<number>(kvHeads).fill(sinks + recent)
  );
  return await ranking.ofEach(judged, {
    counts,
    ...(secondStage
      ? {
        firstCounts: counts.map((count, head) =>
          Math.max(protectedBy[head] ?? 0, Math.floor(share * count))
        ),
      }
      : {}),
    threshold: left,
  });
}

/** What each head keeps in any case, checked. */
function safeCount({ name }: ScorerPolicy, safe: number, keep: number): number {
  if (Number.isInteger(safe) && safe >= 1 && safe <= keep) return safe;
  throw new PolicyError(
    `Policy '${name}' broke its contract: what each KV head keeps of its best in any case must be an ` +
      `integer from 1 to the ${keep} that there are for it, got ${safe}`,
  );
}

/** How many tokens heads keep where scores do not matter for it. */
async function countsBySize(
  policy: ScorerPolicy,
  judged: readonly Judged[],
  { keep, where }: Division,
): Promise<readonly number[]> {
  const heads = judged.flatMap(({ view: { kvHeads, length }, sinks, recent, pinned }) =>
    Array.from({ length: kvHeads }, (_, head): ScoredHead => {
      const scores = new Float32Array(policy.allocateHeads ? length : 0);
      for (const token of pinned?.[head] ?? []) if (token < scores.length) scores[token] = Infinity;
      return { scores, length, sinks, recent };
    })
  );
  return await dividedCounts(policy, heads, keep, where);
}
