import { CheckpointError } from "./errors.ts";
import type { TextStream, Tokenizer } from "./tokenizer/tokenizer.ts";

/**
 * Stands in where a checkpoint has no tokenizer: token ids go in and come out, text does not.
 *
 * @param vocabulary Number of token ids.
 * @param reason Why there is no tokenizer.
 *
 * @example
 * ```ts
 * import { idsOnlyTokenizer } from "./ids_only_tokenizer.ts";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const tokenizer = idsOnlyTokenizer(80, "the folder has no tokenizer.json");
 * assertEquals(tokenizer.decode([5, 6]), "");
 * assertThrows(() => tokenizer.encode("Hello"), Error, "give the prompt as token ids");
 * ```
 */
export function idsOnlyTokenizer(vocabulary: number, reason: string): Tokenizer {
  const refuse = (): never => {
    throw new CheckpointError(
      `Cannot read text: the checkpoint has no tokenizer (${reason}); give the prompt as token ids`,
    );
  };
  return {
    vocabulary,
    eosIds: [],
    hasChatTemplate: false,
    encode: refuse,
    applyChatTemplate: refuse,
    encodeChat: refuse,
    decode: () => "",
    stream: () => SILENT,
  };
}

const SILENT: TextStream = { push: () => "", flush: () => "" };
