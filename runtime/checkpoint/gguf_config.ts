import type { ModelConfig, RopeSettings } from "./checkpoint.ts";
import { checkHeads, embeddingScale, refuseCapping } from "./config.ts";
import { type Fields, fieldsOf, shown } from "./fields.ts";
import type { GgufFamily } from "./find_family.ts";
import { parseGgufLayerKinds } from "./gguf_layer_kinds.ts";
import { type GgufScalingFacts, parseGgufScaling, type RopeFactors } from "./gguf_rope.ts";
import { countLayers } from "./layer_kinds.ts";

/** What the tensors of a GGUF file say about its model. */
export interface GgufTensorFacts {
  /** Rows of the embedding matrix. */
  readonly vocabulary: number;
  /** Whether there is an output matrix of its own. */
  readonly hasOutput: boolean;
  /** Divisors of the rotary frequencies. */
  readonly ropeFactors: RopeFactors;
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
  const { architecture, scaledByHidden } = family.gguf;
  refuseUnsupported(fields, architecture);
  const hidden = fields.count(`${architecture}.embedding_length`);
  const heads = fields.count(`${architecture}.attention.head_count`);
  const headDim = fields.count(`${architecture}.attention.key_length`, hidden / heads);
  const layers = countLayers(fields, `${architecture}.block_count`);
  const context = fields.count(`${architecture}.context_length`);
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
    ropes: parseRopes(fields, family, { headDim, context, factors: facts.ropeFactors }),
    layerKinds: parseGgufLayerKinds(fields, family, { layers, context }),
    activation: family.activation ?? "silu",
    embeddingScale: embeddingScale(family, hidden),
    attentionScale: 1 / Math.sqrt(scaledByHidden?.includes(layers) ? hidden / heads : headDim),
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
  for (const kind of ["attn", "final"]) {
    refuseCapping(fields, `${architecture}.${kind}_logit_softcapping`);
  }
}

/** Of all layers; or of the global ones, then of those that slide, which no scaling touches. */
function parseRopes(
  fields: Fields,
  { gguf: { architecture, localTheta } }: GgufFamily,
  facts: Omit<GgufScalingFacts, "architecture">,
): readonly RopeSettings[] {
  const rope: RopeSettings = {
    theta: fields.positive(`${architecture}.rope.freq_base`, DEFAULT_THETA),
    scaling: parseGgufScaling(fields, { architecture, ...facts }),
  };
  if (localTheta === undefined) return [rope];
  const theta = fields.positive(`${architecture}.rope.freq_base_swa`, localTheta);
  return [rope, { theta, scaling: { kind: "none" } }];
}

function bos(fields: Fields): { readonly bosId?: number } {
  const [bosId] = fields.ids("tokenizer.ggml.bos_token_id");
  return bosId === undefined ? {} : { bosId };
}
