import type { MaybePromise, Policy } from "../../policies/policy.ts";
import type { Engine } from "../engine/engine.ts";
import type { Sequence } from "../engine/sequence.ts";
import { rerotateKeys } from "../rotary/rerotate.ts";
import type { KeptTokens } from "./choose.ts";
import { forLayers } from "./layers_together.ts";
import { mergedValues } from "./merged_values.ts";

/** How what was chosen is applied. */
export interface ApplyOptions {
  /** Whether keys are rerotated then: as the policy says. */
  readonly positions: Policy["positions"] | undefined;
  /** How values of what is dropped go into those of what stays: as the policy says. */
  readonly merging?: Policy["merging"] | undefined;
  /** Shows layers, where values are merged. */
  readonly engine: Pick<Engine, "config" | "views">;
  /** Runs before the first entry is dropped, if any is: the last chance to copy the cache. */
  readonly beforeCompaction?: (() => MaybePromise<void>) | undefined;
}

/**
 * Evicts: drops all entries that were not chosen, layer by layer, and frees their memory. Rerotates the
 * keys that stay where the policy wants that.
 */
export async function applyKept(
  sequence: Sequence,
  kept: KeptTokens,
  { engine, positions, merging, beforeCompaction }: ApplyOptions,
): Promise<void> {
  const { cache } = sequence;
  const dropping = kept.flatMap((heads, layer) =>
    cache.lengths(layer).some((length, head) => (heads[head]?.length ?? 0) < length)
      ? [{ layer, heads }]
      : []
  );
  if (dropping.length === 0) return;
  await beforeCompaction?.();
  // This is what frees the cache.
  await forLayers(cache, dropping, async ({ layer, heads }) => {
    const values = merging
      ? await mergedValues(engine.views(cache, layer, {}), heads, merging)
      : undefined;
    await cache.compact(layer, heads);
    if (values) await cache.setValues(layer, values);
  });
  if (positions === "contiguous") await rerotateKeys(sequence, engine.config);
}
