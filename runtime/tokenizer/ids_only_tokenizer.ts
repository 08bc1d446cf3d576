import type { CheckpointError } from "../errors.ts";
import type { TextStream, Tokenizer } from "./tokenizer.ts";

/**
 * Stands in where a checkpoint has no tokenizer that can be used: token ids go in and come out, text
 * does not.
 *
 * @param vocabulary Number of token ids.
 * @param reason What to throw where there is text.
 *
 * @example
 * ```ts
 * import { CheckpointError } from "../errors.ts";
 * import { idsOnlyTokenizer } from "./ids_only_tokenizer.ts";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const tokenizer = idsOnlyTokenizer(80, new CheckpointError("There is no tokenizer.json"));
 * assertEquals(tokenizer.decode([5, 6]), "");
 * assertThrows(() => tokenizer.encode("Hello"), CheckpointError, "no tokenizer.json");
 * ```
 */
export function idsOnlyTokenizer(vocabulary: number, reason: CheckpointError): Tokenizer {
  const refuse = (): never => {
    throw reason;
  };
  return {
    vocabulary,
    eosIds: [],
    hasChatTemplate: false,
    encode: refuse,
    applyChatTemplate: refuse,
    renderChat: refuse,
    encodeChat: refuse,
    tokenBytes: () => new Uint8Array(),
    decode: () => "",
    stream: () => SILENT,
  };
}

const SILENT: TextStream = { push: () => "", flush: () => "" };
