import type { RopeScaling } from "./checkpoint.ts";
import type { Fields } from "./fields.ts";

/**
 * Reads LongRoPE, which older configs call `su`.
 *
 * @param config Settings of the model.
 * @param rope Those of its RoPE.
 * @param context Tokens after scaling.
 * @throws {CheckpointError} If a setting is missing or malformed.
 */
export function parseLongRope(config: Fields, rope: Fields, context: number): RopeScaling {
  const headDim = config.optional("head_dim", config.count) ??
    config.count("hidden_size") / config.count("num_attention_heads");
  const original = "original_max_position_embeddings";
  const originalContext = config.optional(original, config.count) ?? rope.count(original);
  const factor = rope.optional("factor", rope.positive) ?? context / originalContext;
  return {
    kind: "longrope",
    shortFactors: factorsOf(rope, "short_factor", headDim),
    longFactors: factorsOf(rope, "long_factor", headDim),
    originalContext,
    attentionFactor: rope.optional("attention_factor", rope.positive) ??
      attentionFactor(factor, originalContext),
  };
}

/** The factor on cosines and sines of a context that is stretched by `factor`. */
function attentionFactor(factor: number, originalContext: number): number {
  return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContext));
}

function factorsOf(rope: Fields, key: string, headDim: number): readonly number[] {
  const value = rope.raw(key);
  const factors: readonly unknown[] = Array.isArray(value) ? value : [];
  const numbers = factors.filter((item): item is number => typeof item === "number" && item > 0);
  if (numbers.length === factors.length && numbers.length === headDim / 2) return numbers;
  return rope.refuse(`"${key}" is not a list of ${headDim / 2} numbers above 0`);
}
