import type { RopeScaling } from "./checkpoint.ts";
import { type Fields, shown } from "./fields.ts";

/** Divisors of rotary frequencies that a GGUF file has as tensors. */
export interface RopeFactors {
  /** `rope_freqs.weight`: of all texts. */
  readonly all?: readonly number[];
  /** `rope_factors_short.weight`: of texts within the original context (LongRoPE). */
  readonly short?: readonly number[];
  /** `rope_factors_long.weight`: of longer ones. */
  readonly long?: readonly number[];
}

/** What else {@linkcode parseGgufScaling} goes by. */
export interface GgufScalingFacts {
  readonly architecture: string;
  readonly headDim: number;
  readonly context: number;
  readonly factors: RopeFactors;
}

/**
 * Reads how a GGUF file scales rotary frequencies.
 *
 * @throws {CheckpointError} If a setting is malformed or its kind is not supported.
 */
export function parseGgufScaling(
  fields: Fields,
  { architecture, headDim, context, factors: { all, short, long } }: GgufScalingFacts,
): RopeScaling {
  const scaling = `${architecture}.rope.scaling`;
  // Files made before 2024 have `scale_linear` alone.
  const old = fields.optional(`${architecture}.rope.scale_linear`, fields.positive);
  const type = fields.raw(`${scaling}.type`) ?? (old === undefined ? "none" : "linear");
  if (short || long) {
    return {
      kind: "longrope",
      shortFactors: checked(fields, "rope_factors_short.weight", short, headDim),
      longFactors: checked(fields, "rope_factors_long.weight", long, headDim),
      originalContext: fields.count(`${scaling}.original_context_length`, context),
      attentionFactor: fields.positive(`${scaling}.attn_factor`, 1),
    };
  }
  if (type !== "none" && type !== "linear") {
    fields.refuse(
      `RoPE scaling ${shown(type)} is not supported, only none and linear ` +
        "(and the factors of rope_freqs.weight, rope_factors_short.weight and rope_factors_long.weight)",
    );
  }
  const linear = type === "linear" ? fields.positive(`${scaling}.factor`, old) : 1;
  if (all) {
    const factors = checked(fields, "rope_freqs.weight", all, headDim);
    return { kind: "factors", factors: factors.map((factor) => factor * linear) };
  }
  return linear === 1 ? { kind: "none" } : { kind: "linear", factor: linear };
}

function checked(
  fields: Fields,
  name: string,
  factors: readonly number[] | undefined,
  headDim: number,
): readonly number[] {
  if (factors?.length === headDim / 2 && factors.every((factor) => factor > 0)) return factors;
  return fields.refuse(`${name} does not hold ${headDim / 2} numbers above 0`);
}
