import type { MaybePromise, Policy, SoftTokens } from "../../policies/policy.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import type { Engine } from "../engine/engine.ts";
import type { Sequence } from "../engine/sequence.ts";
import { mapWithSoftTokens } from "../rotary/position_map.ts";
import { rerotateKeys } from "../rotary/rerotate.ts";
import type { KeptTokens } from "./choose.ts";
import { forLayers } from "./layers_together.ts";
import { mergeLayer } from "./merged_values.ts";
import { readRestoring } from "./restore.ts";

/** How what was chosen is applied. */
export interface ApplyOptions {
  /** Whether keys are rerotated then: as the policy says. */
  readonly positions: Policy["positions"] | undefined;
  /** How values of what is dropped go into those of what stays: as the policy says. */
  readonly merging?: Policy["merging"] | undefined;
  /** Soft tokens that are read before anything is dropped, and stay. */
  readonly restoring?: SoftTokens | undefined;
  /** Shows layers, or merges their values, where values are merged, and reads soft tokens. */
  readonly engine: Pick<Engine, "config" | "views" | "mergedValues" | "advance">;
  /** Runs before the first entry is dropped, if any is: the last chance to copy the cache. */
  readonly beforeCompaction?: (() => MaybePromise<void>) | undefined;
}

/**
 * Evicts: drops all entries that were not chosen, layer by layer, and frees their memory. Soft tokens
 * that restore are read before, if anything is dropped. Rerotates the keys that stay where the policy
 * wants that.
 *
 * @returns What of the cache stayed: what was chosen, and the soft tokens' entries behind it.
 */
export async function applyKept(
  sequence: Sequence,
  kept: KeptTokens,
  { engine, positions, merging, restoring, beforeCompaction }: ApplyOptions,
): Promise<KeptTokens> {
  const { cache } = sequence;
  if (dropped(cache, kept).length === 0) return kept;
  const stays = restoring ? await readRestoring(sequence, kept, restoring, engine) : kept;
  await beforeCompaction?.();
  // Whoever rolls back what fails so far need not know of the map.
  if (restoring) sequence.positionMap = mapWithSoftTokens(sequence, restoring.count);
  // This is what frees the cache.
  await forLayers(cache, dropped(cache, stays), async ({ layer, heads }) => {
    using values = merging && await mergeLayer({ engine, cache, layer }, heads, merging);
    await cache.compact(layer, heads);
    await values?.write();
  });
  if (positions === "contiguous") await rerotateKeys(sequence, engine.config);
  return stays;
}

/** The layers of which something is dropped, and what stays of them. */
function dropped(cache: KvCache, kept: KeptTokens) {
  return kept.flatMap((heads, layer) =>
    cache.lengths(layer).some((length, head) => (heads[head]?.length ?? 0) < length)
      ? [{ layer, heads }]
      : []
  );
}
