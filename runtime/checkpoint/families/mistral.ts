import type { ModelFamily } from "./family.ts";
import { llama } from "./llama.ts";

const { gguf: _, ...withoutGguf } = llama;

/** Llama's layout with a window in every layer. GGUF files call it `llama`. */
export const mistral: ModelFamily = {
  ...withoutGguf,
  name: "mistral",
  title: "Mistral",
  huggingFace: {
    modelType: "mistral",
    architecture: "MistralForCausalLM",
    defaults: { ...llama.huggingFace.defaults, sliding_window: 4096 },
    window: { size: "sliding_window" },
  },
};
