import type { TokenizerSource } from "../checkpoint/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import { createAbsentTokenizer } from "./absent_tokenizer.ts";
import { createTokenizer, type TokenizerOptions } from "./create_tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * Makes the tokenizer of a checkpoint like `createTokenizer`, but puts off what is wrong with it
 * until text is given, so that the model still runs on token ids.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const tokenizer = openTokenizer({ kind: "gguf", metadata: { "tokenizer.ggml.model": "t5" } });
 * assertEquals(tokenizer.decode([1, 2]), "");
 * assertThrows(() => tokenizer.encode("Hi"), Error, "GGUF vocabulary t5 is not supported");
 * ```
 */
export function openTokenizer(source: TokenizerSource, options?: TokenizerOptions): Tokenizer {
  try {
    return createTokenizer(source, options);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return createAbsentTokenizer(() => error);
  }
}
