/**
 * Settings of small random checkpoints, as Hugging Face folders and GGUF files have them.
 *
 * @module
 */
import type { RopeScaling } from "../runtime/checkpoint/checkpoint.ts";
import type { ModelFamily } from "../runtime/checkpoint/families/family.ts";
import { llama } from "../runtime/checkpoint/families/llama.ts";
import { FAMILIES } from "../runtime/checkpoint/families/mod.ts";
import type { GgufMetadata } from "./_gguf_writer.ts";
import type { RandomModel } from "./_random_checkpoint.ts";

/** A model with all its defaults. */
export type FullModel = Required<RandomModel>;

/** Base of Gemma's sliding layers. */
const LOCAL_THETA = 1000;

/** The family of a model by name. */
export function familyOf({ family }: Pick<FullModel, "family">): ModelFamily {
  const found = FAMILIES.find(({ name }) => name === family);
  if (!found) throw new RangeError(`No family ${family}`);
  return found;
}

/** Contents of `config.json`, in the form of transformers 5 or the one before. */
export function huggingFaceConfig(m: FullModel, form: "new" | "old"): Record<string, unknown> {
  const { huggingFace, activation } = familyOf(m);
  const { modelType, architecture, window, queryScalar } = huggingFace;
  return {
    architectures: [architecture],
    model_type: modelType,
    hidden_size: m.hidden,
    num_attention_heads: m.heads,
    num_key_value_heads: m.kvHeads,
    num_hidden_layers: m.layers,
    head_dim: m.headDim,
    intermediate_size: m.intermediate,
    vocab_size: m.vocabulary,
    max_position_embeddings: m.context,
    rms_norm_eps: 1e-5,
    [huggingFace.activation ?? "hidden_act"]: activation === "gelu_tanh"
      ? "gelu_pytorch_tanh"
      : "silu",
    tie_word_embeddings: m.tied,
    bos_token_id: 0,
    eos_token_id: m.eosIds.length === 1 ? m.eosIds[0] : m.eosIds,
    ...(window ? { [window.size]: m.window } : {}),
    ...(window?.enabledBy ? { [window.enabledBy]: m.window !== null } : {}),
    ...(window?.globalEvery ? { [window.globalEvery[0] ?? ""]: m.globalEvery } : {}),
    ...(queryScalar ? { [queryScalar]: m.queryScalar ?? m.headDim } : {}),
    ...(m.ropeScaling.kind === "longrope"
      ? { original_max_position_embeddings: m.ropeScaling.originalContext }
      : {}),
    ...ropeSettings(m, form),
  };
}

function ropeSettings(m: FullModel, form: "new" | "old"): Record<string, unknown> {
  const { localRope } = familyOf(m).huggingFace;
  const rope = { rope_type: "default", ...huggingFaceScaling(m.ropeScaling) };
  const { rope_type: type, ...scaling } = rope;
  const whole = { rope_theta: m.ropeTheta, ...rope };
  if (form === "old") {
    return {
      rope_theta: m.ropeTheta,
      rope_scaling: type === "default" ? null : { type, ...scaling },
      ...(localRope ? { [localRope]: LOCAL_THETA } : {}),
    };
  }
  if (!localRope) return { rope_parameters: whole };
  const local = { rope_type: "default", rope_theta: LOCAL_THETA };
  return { rope_parameters: { full_attention: whole, sliding_attention: local } };
}

function huggingFaceScaling(scaling: RopeScaling): Record<string, unknown> {
  switch (scaling.kind) {
    case "none":
      return {};
    case "linear":
    case "dynamic":
      return { rope_type: scaling.kind, factor: scaling.factor };
    case "llama3":
      return {
        rope_type: "llama3",
        factor: scaling.factor,
        low_freq_factor: scaling.lowFrequencyFactor,
        high_freq_factor: scaling.highFrequencyFactor,
        original_max_position_embeddings: scaling.originalContext,
      };
    case "longrope":
      return {
        rope_type: "longrope",
        short_factor: scaling.shortFactors,
        long_factor: scaling.longFactors,
        original_max_position_embeddings: scaling.originalContext,
        attention_factor: scaling.attentionFactor,
      };
    case "factors":
      throw new RangeError("Hugging Face settings have no list of factors");
  }
}

/** Converters write a family without a GGUF name of its own as Llama. */
export function ggufOf(m: FullModel): NonNullable<ModelFamily["gguf"]> {
  const gguf = familyOf(m).gguf ?? llama.gguf;
  if (!gguf) throw new RangeError("Llama has no name in GGUF");
  return gguf;
}

/** Metadata of a GGUF file. */
export function ggufMetadata(m: FullModel): GgufMetadata {
  const { architecture: prefix, globalEvery, localTheta } = ggufOf(m);
  return {
    "general.architecture": prefix,
    [`${prefix}.block_count`]: m.layers,
    [`${prefix}.context_length`]: m.context,
    [`${prefix}.embedding_length`]: m.hidden,
    [`${prefix}.feed_forward_length`]: m.intermediate,
    [`${prefix}.attention.head_count`]: m.heads,
    [`${prefix}.attention.head_count_kv`]: m.kvHeads,
    [`${prefix}.attention.key_length`]: m.headDim,
    [`${prefix}.attention.value_length`]: m.headDim,
    [`${prefix}.attention.layer_norm_rms_epsilon`]: 1e-5,
    [`${prefix}.rope.freq_base`]: m.ropeTheta,
    ...(m.window === null ? {} : { [`${prefix}.attention.sliding_window`]: m.window }),
    ...(globalEvery ? { [`${prefix}.attention.sliding_window_pattern`]: m.globalEvery } : {}),
    ...(localTheta ? { [`${prefix}.rope.freq_base_swa`]: LOCAL_THETA } : {}),
    ...ggufScaling(m.ropeScaling, `${prefix}.rope.scaling`),
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": m.eosIds[0] ?? 1,
  };
}

function ggufScaling(scaling: RopeScaling, prefix: string): GgufMetadata {
  switch (scaling.kind) {
    case "linear":
      return { [`${prefix}.type`]: "linear", [`${prefix}.factor`]: scaling.factor };
    case "longrope":
      return {
        [`${prefix}.original_context_length`]: scaling.originalContext,
        [`${prefix}.attn_factor`]: scaling.attentionFactor,
      };
  }
  return {};
}
