import type { FamilyTensor, ModelFamily } from "./family.ts";

const norm = (huggingFace: string, gguf: string): FamilyTensor => ({
  huggingFace,
  gguf,
  shape: ["hidden"],
});

/** Llama 1 to 3, SmolLM2 and others of the same layout; most families differ from it in a few fields. */
export const llama: ModelFamily = {
  name: "llama",
  title: "Llama",
  huggingFace: {
    modelType: "llama",
    architecture: "LlamaForCausalLM",
    defaults: { hidden_act: "silu", rms_norm_eps: 1e-6, rope_theta: 10_000 },
  },
  gguf: { architecture: "llama", interleaved: true },
  embedding: {
    huggingFace: "model.embed_tokens",
    gguf: "token_embd",
    shape: ["vocabulary", "hidden"],
  },
  finalNorm: norm("model.norm", "output_norm"),
  output: { huggingFace: "lm_head", gguf: "output", shape: ["vocabulary", "hidden"] },
  layer: {
    attentionNorm: norm("input_layernorm", "attn_norm"),
    query: {
      huggingFace: "self_attn.q_proj",
      gguf: "attn_q",
      shape: ["queries", "hidden"],
      bias: "optional",
    },
    key: {
      huggingFace: "self_attn.k_proj",
      gguf: "attn_k",
      shape: ["keys", "hidden"],
      bias: "optional",
    },
    value: {
      huggingFace: "self_attn.v_proj",
      gguf: "attn_v",
      shape: ["keys", "hidden"],
      bias: "optional",
    },
    attentionOutput: {
      huggingFace: "self_attn.o_proj",
      gguf: "attn_output",
      shape: ["hidden", "queries"],
      bias: "optional",
    },
    mlpNorm: norm("post_attention_layernorm", "ffn_norm"),
    gate: {
      huggingFace: "mlp.gate_proj",
      gguf: "ffn_gate",
      shape: ["intermediate", "hidden"],
      bias: "optional",
    },
    up: {
      huggingFace: "mlp.up_proj",
      gguf: "ffn_up",
      shape: ["intermediate", "hidden"],
      bias: "optional",
    },
    down: {
      huggingFace: "mlp.down_proj",
      gguf: "ffn_down",
      shape: ["hidden", "intermediate"],
      bias: "optional",
    },
  },
};
