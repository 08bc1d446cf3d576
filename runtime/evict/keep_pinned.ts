import { policyMembers } from "../../policies/contract/members.ts";
import type { LayerView, Policy, Protection } from "../../policies/policy.ts";
import { type PinnedScore, raised } from "./score_view.ts";

/**
 * A policy that keeps pinned tokens too, whatever they score. They outrank the first and last
 * tokens that the policy itself protects, where the budget does not hold both.
 *
 * @param views What the policy will be shown: a layer, or each of its KV heads.
 * @param pinned Ascending indices per KV head, no more than are kept.
 */
export function keepPinned<Kind extends Policy>(
  policy: Kind,
  views: readonly LayerView[],
  pinned: readonly Int32Array[],
): Kind;
export function keepPinned(
  policy: Policy,
  views: readonly LayerView[],
  pinned: readonly Int32Array[],
): Policy {
  const max = Math.max(0, ...pinned.map(({ length }) => length));
  if (max === 0) return policy;
  const shown = new Map(
    views.map((view, head) => [view, views.length > 1 ? pinned.slice(head, head + 1) : pinned]),
  );
  if ("select" in policy) {
    return {
      ...policyMembers(policy),
      async select(view, keep) {
        const kept = await policy.select(view, keep);
        const wanted = shown.get(view) ?? [];
        // What is no answer is for the runtime to refuse.
        const sound = Array.isArray(kept) && kept.length === wanted.length &&
          kept.every((indices) => indices instanceof Int32Array && indices.length === keep);
        if (!sound || wanted.every((of, head) => includes(kept[head], of))) return kept;
        const favourites = keep > max ? await policy.select(view, keep - max) : [];
        return wanted.map((of, head) => filledUp([of, favourites[head], kept[head]], keep));
      },
    };
  }
  const pinnedIn = (view: LayerView) => shown.get(view) ?? [];
  const lifted = (view: LayerView, scores: Float32Array): Float32Array =>
    scores instanceof Float32Array ? raised(scores, pinnedIn(view), view.length) : scores;
  const { protect = {}, secondStage } = policy;
  return {
    ...policyMembers(policy),
    async protect(keep: number, length: number) {
      const given = typeof protect === "function" ? await protect(keep, length) : protect;
      return typeof given === "object" && given !== null ? yielding(given, keep - max) : given;
    },
    score: Object.assign(
      async (view: LayerView) => lifted(view, await policy.score(view)),
      { ...policy.score, pinned: pinnedIn } satisfies Partial<PinnedScore>,
    ),
    ...(secondStage === undefined ? {} : {
      secondStage: {
        ...secondStage,
        rescore: Object.assign(
          async (view: LayerView, scores: Float32Array, counts?: readonly number[]) =>
            lifted(view, await secondStage.rescore(view, scores, counts)),
          { ...secondStage.rescore },
        ),
      },
    }),
  };
}

/** As much of a protection as there is room for: its first tokens before its last ones. */
function yielding({ sinks = 0, recent = 0 }: Protection, room: number): Protection {
  if (!(sinks + recent > room)) return { sinks, recent };
  const first = Math.min(sinks, Math.max(0, room));
  return { sinks: first, recent: Math.max(0, Math.min(recent, room - first)) };
}

function includes(kept: Int32Array | undefined, wanted: Int32Array): boolean {
  const held = new Set(kept);
  return wanted.every((index) => held.has(index));
}

/** The first indices of several lists, as many as are wanted, ascending. */
function filledUp(lists: readonly (Int32Array | undefined)[], count: number): Int32Array {
  const taken = new Set<number>();
  for (const list of lists) {
    for (const index of list ?? []) if (taken.size < count) taken.add(index);
  }
  return Int32Array.from(taken).sort();
}
