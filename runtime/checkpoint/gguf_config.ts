import type { ModelConfig, RopeScaling } from "./checkpoint.ts";
import { checkHeads } from "./config.ts";
import { type Fields, fieldsOf, shown } from "./fields.ts";
import type { GgufFamily } from "./find_family.ts";
import { countLayers } from "./layer_kinds.ts";

/** What the tensors of a GGUF file say about its model. */
export interface GgufTensorFacts {
  /** Rows of the embedding matrix. */
  readonly vocabulary: number;
  /** Whether there is an output matrix of its own. */
  readonly hasOutput: boolean;
  /** Contents of `rope_freqs.weight`, if there is one: divisors of the rotary frequencies. */
  readonly ropeFactors?: readonly number[];
}

/** What ggml assumes of a file that does not state it. */
const DEFAULT_THETA = 10_000;

/**
 * Reads a model's settings from GGUF metadata.
 *
 * @throws {CheckpointError} If a setting is missing, malformed or not supported; names it.
 */
export function parseGgufConfig(
  path: string,
  metadata: Readonly<Record<string, unknown>>,
  family: GgufFamily,
  facts: GgufTensorFacts,
): ModelConfig {
  const fields = fieldsOf(path, metadata);
  const { architecture } = family.gguf;
  refuseUnsupported(fields, architecture);
  const hidden = fields.count(`${architecture}.embedding_length`);
  const heads = fields.count(`${architecture}.attention.head_count`);
  const headDim = fields.count(`${architecture}.attention.key_length`, hidden / heads);
  const layers = countLayers(fields, `${architecture}.block_count`);
  const context = fields.count(`${architecture}.context_length`);
  const window = fields.count(`${architecture}.attention.sliding_window`, context);
  const config: ModelConfig = {
    family: family.name,
    layers,
    hidden,
    heads,
    kvHeads: fields.count(`${architecture}.attention.head_count_kv`, heads),
    headDim,
    intermediate: fields.count(`${architecture}.feed_forward_length`),
    vocabulary: facts.vocabulary,
    context,
    rmsEpsilon: fields.positive(`${architecture}.attention.layer_norm_rms_epsilon`),
    ropes: [{
      theta: fields.positive(`${architecture}.rope.freq_base`, DEFAULT_THETA),
      scaling: parseScaling(fields, architecture, headDim, facts.ropeFactors),
    }],
    layerKinds: Array.from(
      { length: layers },
      () => window < context ? { window, rope: 0 } : { rope: 0 },
    ),
    activation: "silu",
    embeddingScale: 1,
    attentionScale: 1 / Math.sqrt(headDim),
    tied: !facts.hasOutput,
    eosIds: [
      ...new Set([
        ...fields.ids("tokenizer.ggml.eos_token_id"),
        ...fields.ids("tokenizer.ggml.eot_token_id"),
      ]),
    ],
    ...bos(fields),
  };
  checkHeads(fields, config);
  for (
    const key of [`${architecture}.attention.value_length`, `${architecture}.rope.dimension_count`]
  ) {
    const size = fields.count(key, headDim);
    if (size !== headDim) {
      fields.refuse(`"${key}" is ${size}, and only the head size (${headDim}) is supported`);
    }
  }
  return config;
}

function refuseUnsupported(fields: Fields, architecture: string): void {
  const parts = fields.optional("split.count", fields.count) ?? 1;
  if (parts > 1) {
    fields.refuse(`it is one of ${parts} parts; merge them with llama-gguf-split first`);
  }
  const experts = fields.raw(`${architecture}.expert_count`) ?? 0;
  if (experts !== 0) {
    fields.refuse(`it is a mixture of ${shown(experts)} experts, which is not supported`);
  }
}

function parseScaling(
  fields: Fields,
  architecture: string,
  headDim: number,
  factors: readonly number[] | undefined,
): RopeScaling {
  // Files made before 2024 have `scale_linear` alone.
  const old = fields.optional(`${architecture}.rope.scale_linear`, fields.positive);
  const type = fields.raw(`${architecture}.rope.scaling.type`) ??
    (old === undefined ? "none" : "linear");
  if (type !== "none" && type !== "linear") {
    fields.refuse(
      `RoPE scaling ${shown(type)} is not supported, only none and linear ` +
        "(and the factors of rope_freqs.weight)",
    );
  }
  const linear = type === "linear"
    ? fields.positive(`${architecture}.rope.scaling.factor`, old)
    : 1;
  if (factors) {
    if (factors.length !== headDim / 2 || !factors.every((factor) => factor > 0)) {
      fields.refuse(`rope_freqs.weight does not hold ${headDim / 2} numbers above 0`);
    }
    return { kind: "factors", factors: factors.map((factor) => factor * linear) };
  }
  return linear === 1 ? { kind: "none" } : { kind: "linear", factor: linear };
}

function bos(fields: Fields): { readonly bosId?: number } {
  const [bosId] = fields.ids("tokenizer.ggml.bos_token_id");
  return bosId === undefined ? {} : { bosId };
}
