import type { FamilyTensor, ModelFamily, SizeName } from "./family.ts";

function norm(huggingFace: string, gguf: string): FamilyTensor {
  return { huggingFace, gguf, shape: ["hidden"] };
}

function matrix(
  huggingFace: string,
  gguf: string,
  rows: SizeName,
  columns: SizeName,
): FamilyTensor {
  return { huggingFace, gguf, shape: [rows, columns] };
}

/** A matrix that may have a bias. */
function linear(...matrixOf: Parameters<typeof matrix>): FamilyTensor {
  return { ...matrix(...matrixOf), bias: "optional" };
}

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
  embedding: matrix("model.embed_tokens", "token_embd", "vocabulary", "hidden"),
  finalNorm: norm("model.norm", "output_norm"),
  output: matrix("lm_head", "output", "vocabulary", "hidden"),
  layer: {
    attentionNorm: norm("input_layernorm", "attn_norm"),
    query: linear("self_attn.q_proj", "attn_q", "queries", "hidden"),
    key: linear("self_attn.k_proj", "attn_k", "keys", "hidden"),
    value: linear("self_attn.v_proj", "attn_v", "keys", "hidden"),
    attentionOutput: linear("self_attn.o_proj", "attn_output", "hidden", "queries"),
    mlpNorm: norm("post_attention_layernorm", "ffn_norm"),
    gate: linear("mlp.gate_proj", "ffn_gate", "intermediate", "hidden"),
    up: linear("mlp.up_proj", "ffn_up", "intermediate", "hidden"),
    down: linear("mlp.down_proj", "ffn_down", "hidden", "intermediate"),
  },
};
