import type { ModelFamily } from "./family.ts";
import { llama } from "./llama.ts";

/** Phi-3: queries, keys and values in one matrix, gate and up in another; LongRoPE; a window. */
export const phi3: ModelFamily = {
  ...llama,
  name: "phi3",
  title: "Phi-3",
  huggingFace: {
    modelType: "phi3",
    architecture: "Phi3ForCausalLM",
    defaults: {
      ...llama.huggingFace.defaults,
      rms_norm_eps: 1e-5,
      max_position_embeddings: 4096,
      original_max_position_embeddings: 4096,
    },
    window: { size: "sliding_window" },
  },
  gguf: { architecture: "phi3", interleaved: false, zeroIsNoWindow: true },
  fused: [
    { huggingFace: "self_attn.qkv_proj", gguf: "attn_qkv", parts: ["query", "key", "value"] },
    { huggingFace: "mlp.gate_up_proj", gguf: "ffn_up", parts: ["gate", "up"] },
  ],
};
