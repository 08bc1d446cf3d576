import type { LayerView } from "../../policies/policy.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import type { Engine, Gathered } from "../engine/engine.ts";
import type { Sequence } from "../engine/sequence.ts";
import { selectKeptOfViews } from "./contract.ts";
import { keepPinned } from "./keep_pinned.ts";
import { forLayers } from "./layers_together.ts";
import { partsOfLayer } from "./part.ts";
import { pinnedEntries, type TokenSpan } from "./pinned.ts";
import type { Round } from "./rounds.ts";

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
  const choose = (index: number): Promise<readonly Int32Array[]> => {
    const layer = globals[index] ?? 0;
    const views = (round: number) => engine.views(cache, layer, gathered[round] ?? {}, onCopy);
    const stay = pinned.length > 0 ? pinnedEntries(sequence, pinned, layer) : undefined;
    return keptOfLayer(rounds, index, views, stay);
  };
  const scoredThere = rounds.every(({ policy }) =>
    "score" in policy && policy.score.kernel !== undefined
  );
  const chosen = await forLayers(cache, [...globals.keys()], choose, scoredThere);
  return Array.from(
    { length: cache.layers },
    (_, layer) => chosen[globals.indexOf(layer)] ?? cache.lengths(layer).map(allOf),
  );
}

function allOf(length: number): Int32Array {
  return Int32Array.from({ length }, (_, index) => index);
}

/**
 * What of a layer stays after all rounds: each is shown what the ones before it left.
 *
 * @param index Its number among the global layers.
 */
async function keptOfLayer(
  rounds: readonly Round[],
  index: number,
  views: (round: number) => readonly LayerView[],
  pinned: readonly Int32Array[] | undefined,
): Promise<readonly Int32Array[]> {
  let kept: readonly Int32Array[] | undefined;
  for (const [round, { policy, keep }] of rounds.entries()) {
    const whole = views(round);
    const before = kept;
    const shown = before ? partsOfLayer(whole, before) : whole;
    const stay = before ? pinned?.map((of, head) => placesOf(of, before[head])) : pinned;
    const asked = stay ? keepPinned(policy, shown, stay) : policy;
    const chosen = await selectKeptOfViews(asked, shown, keep[index] ?? 0);
    kept = before
      ? chosen.map((indices, head) => indices.map((at) => before[head]?.[at] ?? 0))
      : chosen;
  }
  return kept ?? [];
}

/** Where some indices stand among those that are left. */
function placesOf(indices: Int32Array, left: Int32Array = new Int32Array(0)): Int32Array {
  const wanted = new Set(indices);
  return Int32Array.from([...left.keys()].filter((place) => wanted.has(left[place] ?? -1)));
}
