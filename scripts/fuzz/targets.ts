import { config, gguf, safetensors } from "./checkpoint_targets.ts";
import { savedCache } from "./saved_cache_target.ts";
import { softTokens } from "./soft_tokens_target.ts";
import type { FuzzTarget } from "./target.ts";
import { tokenizer } from "./tokenizer_target.ts";

/** Every kind of file that is fuzzed. */
export const TARGETS: readonly FuzzTarget[] = [
  gguf,
  safetensors,
  tokenizer,
  config,
  softTokens,
  savedCache,
];
