import type { LayerView, Policy } from "../../policies/policy.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import type { Engine, Gathered } from "../engine/engine.ts";
import type { Sequence } from "../engine/sequence.ts";
import { selectKeptAcross, selectKeptOfViews } from "./contract.ts";
import { keepPinned } from "./keep_pinned.ts";
import { forLayers } from "./layers_together.ts";
import { partsOfLayer } from "./part.ts";
import { pinnedEntries, type TokenSpan } from "./pinned.ts";
import type { Round } from "./rounds.ts";
import type { LayerChoice } from "./divide.ts";

/**
 * What stays of a cache, `[layer][KV head]`: ascending indices of its entries. Of a prompt that was
 * read into an empty cache they are its positions. A layer that slides keeps all that it holds.
 */
export type KeptTokens = readonly (readonly Int32Array[])[];

/** What {@linkcode chooseKept} chooses from. */
export interface ChoiceRequest {
  readonly engine: Pick<Engine, "views">;
  readonly sequence: Pick<Sequence, "cache" | "positionMap">;
  readonly rounds: readonly Round[];
  /** What the policy of each round judges by. */
  readonly gathered: readonly Gathered[];
  /** Tokens of the text that stay in any case. */
  readonly pinned?: readonly TokenSpan[] | undefined;
  /** Gets the number of bytes that were copied off a device, because a policy asked for them. */
  readonly onCopy?: ((bytes: number) => void) | undefined;
}

/**
 * Chooses what stays, in all layers before anything is dropped: a policy that fails leaves a whole
 * cache. The cache is not touched; `applyKept` drops the rest.
 *
 * @throws {PolicyError} If a policy fails or breaks its contract.
 * @throws {BudgetError} If a policy protects more tokens than may be kept.
 */
export async function chooseKept(
  { engine, sequence, rounds, gathered, pinned = [], onCopy }: ChoiceRequest,
): Promise<KeptTokens> {
  const { cache } = sequence;
  const globals = globalLayersOf(cache);
  const layers = globals.map((layer): ShownLayer => ({
    views: (round) => engine.views(cache, layer, gathered[round] ?? {}, onCopy),
    pinned: pinned.length > 0 ? pinnedEntries(sequence, pinned, layer) : undefined,
  }));
  const chosen = rounds.some(({ policy }) => "score" in policy && policy.acrossLayers)
    ? await keptRoundByRound(rounds, layers)
    : await keptLayerByLayer(rounds, layers, cache);
  return Array.from(
    { length: cache.layers },
    (_, layer) => chosen[globals.indexOf(layer)] ?? cache.lengths(layer).map(allOf),
  );
}

/** A global layer. */
interface ShownLayer {
  /** What the policy of a round is shown of it. */
  readonly views: (round: number) => readonly LayerView[];
  /** What of each KV head stays in any case. */
  readonly pinned: readonly Int32Array[] | undefined;
}

/** What of layers stays after all rounds, where each layer is chosen for itself. */
function keptLayerByLayer(
  rounds: readonly Round[],
  layers: readonly ShownLayer[],
  cache: KvCache,
): Promise<KeptTokens> {
  const scoredThere = rounds.every(({ policy }) =>
    "score" in policy && policy.score.kernel !== undefined
  );
  return forLayers(cache, [...layers.entries()], async ([index, layer]) => {
    let kept: readonly Int32Array[] | undefined;
    for (const round of rounds.keys()) kept = await keptInRound(rounds, round, index, layer, kept);
    return kept ?? [];
  }, scoredThere);
}

/** The same where the budget of a round is divided among the heads of all layers. */
async function keptRoundByRound(
  rounds: readonly Round[],
  layers: readonly ShownLayer[],
): Promise<KeptTokens> {
  let kept: KeptTokens | undefined;
  for (const [round, { policy, keep }] of rounds.entries()) {
    const before = kept;
    if (!("score" in policy) || !policy.acrossLayers) {
      const chosen: (readonly Int32Array[])[] = [];
      for (const [index, layer] of layers.entries()) {
        chosen.push(await keptInRound(rounds, round, index, layer, before?.[index]));
      }
      kept = chosen;
      continue;
    }
    const choices = layers.map((layer, index): LayerChoice => {
      const { asked, shown } = shownInRound(policy, layer, round, before?.[index]);
      return { policy: asked, views: shown, keep: keep[index] ?? 0 };
    });
    const chosen = await selectKeptAcross(policy, choices);
    kept = chosen.map((heads, index) => indicesBefore(heads, before?.[index]));
  }
  return kept ?? [];
}

/**
 * What of a layer stays after a round.
 *
 * @param index Its number among the global layers.
 * @param before What the rounds before left of it.
 */
async function keptInRound(
  rounds: readonly Round[],
  round: number,
  index: number,
  layer: ShownLayer,
  before: readonly Int32Array[] | undefined,
): Promise<readonly Int32Array[]> {
  const { policy, keep } = rounds[round] ?? {};
  if (!policy) return before ?? [];
  const { asked, shown } = shownInRound(policy, layer, round, before);
  return indicesBefore(await selectKeptOfViews(asked, shown, keep?.[index] ?? 0), before);
}

/** What is shown of a layer, and the policy as it is asked about it. */
function shownInRound<Kind extends Policy>(
  policy: Kind,
  { views, pinned }: ShownLayer,
  round: number,
  before: readonly Int32Array[] | undefined,
): { readonly asked: Kind; readonly shown: readonly LayerView[] } {
  const whole = views(round);
  const shown = before ? partsOfLayer(whole, before) : whole;
  const stay = before ? pinned?.map((of, head) => placesOf(of, before[head])) : pinned;
  return { asked: stay ? keepPinned(policy, shown, stay) : policy, shown };
}

/** Indices of the cache from those of what was left. */
function indicesBefore(
  chosen: readonly Int32Array[],
  before: readonly Int32Array[] | undefined,
): readonly Int32Array[] {
  if (!before) return chosen;
  return chosen.map((indices, head) => indices.map((at) => before[head]?.[at] ?? 0));
}

function allOf(length: number): Int32Array {
  return Int32Array.from({ length }, (_, index) => index);
}

/** Where some indices stand among those that are left. */
function placesOf(indices: Int32Array, left: Int32Array = new Int32Array(0)): Int32Array {
  const wanted = new Set(indices);
  return Int32Array.from([...left.keys()].filter((place) => wanted.has(left[place] ?? -1)));
}
