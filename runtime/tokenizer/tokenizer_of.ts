import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import { createTokenizer, type TokenizerOptions } from "./create_tokenizer.ts";
import { idsOnlyTokenizer } from "./ids_only_tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * The tokenizer of a checkpoint. One whose tokenizer is missing or unsupported runs on token ids, which
 * need none.
 */
export function tokenizerOf(
  { tokenizer, config: { vocabulary } }: Checkpoint,
  options: TokenizerOptions,
): Tokenizer {
  try {
    return createTokenizer(tokenizer, options);
  } catch (error) {
    if (error instanceof CheckpointError) return idsOnlyTokenizer(vocabulary, error);
    throw error;
  }
}
