import type { ModelConfig, RopeScaling } from "./checkpoint.ts";
import { checkHeads } from "./config.ts";
import { type Fields, fieldsOf, named, shown } from "./fields.ts";

/** What the tensors of a GGUF file say about its model. */
export interface GgufTensorFacts {
  /** Rows of the embedding matrix. */
  readonly vocabulary: number;
  /** Whether there is an output matrix of its own. */
  readonly hasOutput: boolean;
  /** Contents of `rope_freqs.weight`, if there is one: divisors of the rotary frequencies. */
  readonly ropeFactors?: readonly number[];
}

const ARCHITECTURES: ReadonlyMap<unknown, ModelConfig["family"]> = new Map([
  ["llama", "llama"],
  ["qwen2", "qwen2"],
  ["qwen3", "qwen3"],
]);

const DEFAULT_THETA = 10_000;

/**
 * Reads a model's settings from GGUF metadata. Mistral models come as `llama`, which they equal.
 *
 * @throws {CheckpointError} If a setting is missing, malformed or not supported; names it.
 */
export function parseGgufConfig(
  path: string,
  metadata: Readonly<Record<string, unknown>>,
  facts: GgufTensorFacts,
): ModelConfig {
  const fields = fieldsOf(path, metadata);
  const architecture = fields.raw("general.architecture");
  const family = ARCHITECTURES.get(architecture);
  if (!family) {
    return fields.refuse(
      `its architecture (${named(architecture ?? "not stated")}) is not supported; supported are ` +
        [...ARCHITECTURES.keys()].join(", "),
    );
  }
  refuseUnsupported(fields, family);
  const hidden = fields.count(`${family}.embedding_length`);
  const heads = fields.count(`${family}.attention.head_count`);
  const headDim = fields.count(`${family}.attention.key_length`, hidden / heads);
  const config: ModelConfig = {
    family,
    layers: fields.count(`${family}.block_count`),
    hidden,
    heads,
    kvHeads: fields.count(`${family}.attention.head_count_kv`, heads),
    headDim,
    intermediate: fields.count(`${family}.feed_forward_length`),
    vocabulary: facts.vocabulary,
    context: fields.count(`${family}.context_length`),
    rmsEpsilon: fields.positive(`${family}.attention.layer_norm_rms_epsilon`),
    ropeTheta: fields.positive(`${family}.rope.freq_base`, DEFAULT_THETA),
    ropeScaling: parseScaling(fields, family, headDim, facts.ropeFactors),
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
  for (const key of [`${family}.attention.value_length`, `${family}.rope.dimension_count`]) {
    const size = fields.count(key, headDim);
    if (size !== headDim) {
      fields.refuse(`"${key}" is ${size}, and only the head size (${headDim}) is supported`);
    }
  }
  return config;
}

function refuseUnsupported(fields: Fields, family: string): void {
  const parts = fields.optional("split.count", fields.count) ?? 1;
  if (parts > 1) {
    fields.refuse(`it is one of ${parts} parts; merge them with llama-gguf-split first`);
  }
  const experts = fields.raw(`${family}.expert_count`) ?? 0;
  if (experts !== 0) {
    fields.refuse(`it is a mixture of ${shown(experts)} experts, which is not supported`);
  }
  const context = fields.count(`${family}.context_length`);
  const window = fields.optional(`${family}.attention.sliding_window`, fields.count) ?? context;
  if (window < context) {
    fields.refuse(
      `its sliding window of ${window} tokens is smaller than its context of ${context}, ` +
        "which this runtime does not do; use a checkpoint with full attention",
    );
  }
}

function parseScaling(
  fields: Fields,
  family: string,
  headDim: number,
  factors: readonly number[] | undefined,
): RopeScaling {
  // Files made before 2024 have `scale_linear` alone.
  const old = fields.optional(`${family}.rope.scale_linear`, fields.positive);
  const type = fields.raw(`${family}.rope.scaling.type`) ?? (old === undefined ? "none" : "linear");
  if (type !== "none" && type !== "linear") {
    fields.refuse(
      `RoPE scaling ${shown(type)} is not supported, only none and linear ` +
        "(and the factors of rope_freqs.weight)",
    );
  }
  const linear = type === "linear" ? fields.positive(`${family}.rope.scaling.factor`, old) : 1;
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
