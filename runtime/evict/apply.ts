import type { MaybePromise, Policy } from "../../policies/policy.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import type { Sequence } from "../engine/sequence.ts";
import { rerotateKeys } from "../rotary/rerotate.ts";
import type { KeptTokens } from "./choose.ts";
import { forLayers } from "./layers_together.ts";

/** How what was chosen is applied. */
export interface ApplyOptions {
  readonly config: ModelConfig;
  /** Whether keys are rerotated then: as the policy says. */
  readonly positions: Policy["positions"] | undefined;
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
  { config, positions, beforeCompaction }: ApplyOptions,
): Promise<void> {
  const { cache } = sequence;
  const dropping = kept.flatMap((heads, layer) =>
    cache.lengths(layer).some((length, head) => (heads[head]?.length ?? 0) < length)
      ? [{ layer, heads }]
      : []
  );
  if (dropping.length === 0) return;
  await beforeCompaction?.();
  // This is the line that frees the cache.
  await forLayers(cache, dropping, ({ layer, heads }) => cache.compact(layer, heads));
  if (positions === "contiguous") await rerotateKeys(sequence, config);
}
