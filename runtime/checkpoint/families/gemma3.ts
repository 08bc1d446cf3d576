import type { FamilyTensor, ModelFamily } from "./family.ts";
import { llama } from "./llama.ts";
import { qwen3 } from "./qwen3.ts";

function norm(huggingFace: string, gguf: string): FamilyTensor {
  return { huggingFace, gguf, shape: ["hidden"] };
}

/**
 * Gemma 3, text: windows in most layers, which rotate by a base of their own; norms before and behind
 * each block, and of each query and key head; scaled embeddings; GELU.
 */
export const gemma3: ModelFamily = {
  ...llama,
  name: "gemma3",
  title: "Gemma 3",
  huggingFace: {
    modelType: "gemma3_text",
    architecture: "Gemma3ForCausalLM",
    multimodal: {
      modelType: "gemma3",
      architecture: "Gemma3ForConditionalGeneration",
      prefixes: [
        ["language_model.model.", "model."],
        ["model.language_model.", "model."],
        ["language_model.lm_head.", "lm_head."],
      ],
    },
    defaults: {
      vocab_size: 262_208,
      hidden_size: 2304,
      intermediate_size: 9216,
      num_hidden_layers: 26,
      num_attention_heads: 8,
      num_key_value_heads: 4,
      head_dim: 256,
      hidden_activation: "gelu_pytorch_tanh",
      max_position_embeddings: 131_072,
      rms_norm_eps: 1e-6,
      rope_theta: 1_000_000,
      rope_local_base_freq: 10_000,
      query_pre_attn_scalar: 256,
      sliding_window: 4096,
      _sliding_window_pattern: 6,
      tie_word_embeddings: true,
    },
    activation: "hidden_activation",
    queryScalar: "query_pre_attn_scalar",
    normOffset: 1,
    window: {
      size: "sliding_window",
      kinds: "layer_types",
      globalEvery: ["sliding_window_pattern", "_sliding_window_pattern"],
    },
    localRope: "rope_local_base_freq",
    contextIsScaled: true,
  },
  gguf: {
    architecture: "gemma3",
    interleaved: false,
    globalEvery: 6,
    localTheta: 10_000,
    scaledByHidden: [62],
  },
  activation: "gelu_tanh",
  embeddingScale: "root of hidden",
  layer: {
    ...qwen3.layer,
    attentionOutputNorm: norm("post_attention_layernorm", "post_attention_norm"),
    mlpNorm: norm("pre_feedforward_layernorm", "ffn_norm"),
    mlpOutputNorm: norm("post_feedforward_layernorm", "post_ffw_norm"),
  },
};
