import type { ModelFamily } from "./family.ts";
import { llama } from "./llama.ts";

/** Qwen2 and Qwen2.5: biases of queries, keys and values; windows in some layers, if at all. */
export const qwen2: ModelFamily = {
  ...llama,
  name: "qwen2",
  title: "Qwen2",
  huggingFace: {
    modelType: "qwen2",
    architecture: "Qwen2ForCausalLM",
    defaults: { ...llama.huggingFace.defaults, sliding_window: 4096, max_window_layers: 28 },
    window: {
      size: "sliding_window",
      enabledBy: "use_sliding_window",
      kinds: "layer_types",
      from: "max_window_layers",
    },
  },
  gguf: { architecture: "qwen2", interleaved: false },
  layer: {
    ...llama.layer,
    query: { ...llama.layer.query, bias: "required" },
    key: { ...llama.layer.key, bias: "required" },
    value: { ...llama.layer.value, bias: "required" },
  },
};
