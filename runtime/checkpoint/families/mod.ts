import type { ModelFamily } from "./family.ts";
import { gemma3 } from "./gemma3.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { smollm3 } from "./smollm3.ts";

/** The families that can be run. A new one is a file here and its line in this list. */
export const FAMILIES: readonly ModelFamily[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma3,
  phi3,
  smollm3,
];
