import type { ModelFacts, Policy, SoftTokens } from "../../policies/policy.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import type { Engine, StepInput } from "../engine/engine.ts";
import type { Sequence } from "../engine/sequence.ts";
import { adapterShape } from "../soft_tokens/adapters.ts";
import { resolveSoftTokens } from "../soft_tokens/read.ts";
import type { KeptTokens } from "./choose.ts";

/**
 * The soft tokens that stay where a policy evicts, if it has any.
 *
 * @throws {CheckpointError} If they do not fit the model.
 */
export async function restoringTokens(
  { restores }: { readonly restores?: Policy["restores"] | undefined },
  facts: ModelFacts,
  config: ModelConfig,
): Promise<SoftTokens | undefined> {
  if (!restores) return undefined;
  const tokens = await resolveSoftTokens(restores.tokens, facts);
  if (tokens.adapters) adapterShape(tokens.adapters, config);
  return tokens;
}

/**
 * Reads soft tokens behind everything that a sequence holds, once.
 *
 * @param kept What stays of it.
 * @returns What stays of it then: the new entries too.
 */
export async function readRestoring(
  sequence: Sequence,
  kept: KeptTokens,
  { embeddings, count, adapters }: SoftTokens,
  engine: Pick<Engine, "advance">,
): Promise<KeptTokens> {
  const { cache } = sequence;
  const held = kept.map((_, layer) => cache.lengths(layer));
  const input: StepInput = { embeddings, next: "nothing" };
  await engine.advance(sequence, { ...input, ...(adapters ? { adapters } : {}) });
  const globals = new Set(globalLayersOf(cache));
  return kept.map((heads, layer) => {
    if (!globals.has(layer)) return cache.lengths(layer).map((length) => entries(0, length));
    return heads.map((indices, head) => {
      const from = held[layer]?.[head] ?? 0;
      return Int32Array.of(...indices, ...entries(from, count));
    });
  });
}

function entries(from: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, index) => from + index);
}
