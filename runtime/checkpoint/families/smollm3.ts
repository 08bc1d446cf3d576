import type { ModelFamily } from "./family.ts";
import { llama } from "./llama.ts";

/** Llama's layout with layers that are not rotated (NoPE), every fourth; windows in those, if at all. */
export const smollm3: ModelFamily = {
  ...llama,
  name: "smollm3",
  title: "SmolLM3",
  huggingFace: {
    modelType: "smollm3",
    architecture: "SmolLM3ForCausalLM",
    defaults: {
      ...llama.huggingFace.defaults,
      rope_theta: 2_000_000,
      num_key_value_heads: 4,
      no_rope_layer_interval: 4,
      tie_word_embeddings: true,
    },
    window: {
      size: "sliding_window",
      enabledBy: "use_sliding_window",
      kinds: "layer_types",
      unrotatedOnly: true,
    },
    unrotated: { listed: "no_rope_layers", every: "no_rope_layer_interval" },
  },
  gguf: { architecture: "smollm3", interleaved: true, unrotatedEvery: 4 },
};
