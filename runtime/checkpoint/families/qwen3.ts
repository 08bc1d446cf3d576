import type { ModelFamily } from "./family.ts";
import { llama } from "./llama.ts";
import { qwen2 } from "./qwen2.ts";

/** Norms of each query and key head, heads of a size of their own; windows as in Qwen2. */
export const qwen3: ModelFamily = {
  ...qwen2,
  name: "qwen3",
  title: "Qwen3",
  huggingFace: {
    ...qwen2.huggingFace,
    modelType: "qwen3",
    architecture: "Qwen3ForCausalLM",
    defaults: { ...qwen2.huggingFace.defaults, head_dim: 128 },
  },
  gguf: { architecture: "qwen3", interleaved: false },
  layer: {
    ...llama.layer,
    queryNorm: { huggingFace: "self_attn.q_norm", gguf: "attn_q_norm", shape: ["headDim"] },
    keyNorm: { huggingFace: "self_attn.k_norm", gguf: "attn_k_norm", shape: ["headDim"] },
  },
};
