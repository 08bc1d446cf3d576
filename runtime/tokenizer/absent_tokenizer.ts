import type { TextStream, Tokenizer } from "./tokenizer.ts";

/**
 * Stands in where there is no tokenizer, so that a model still runs on token ids: every id decodes
 * to no text, and giving it text or messages throws.
 *
 * @param explain Makes the error that says why there is no tokenizer.
 */
export function createAbsentTokenizer(explain: () => Error): Tokenizer {
  const refuse = (): never => {
    throw explain();
  };
  const silent: TextStream = { push: () => "", flush: () => "" };
  return {
    vocabulary: 0,
    eosIds: [],
    hasChatTemplate: false,
    encode: refuse,
    applyChatTemplate: refuse,
    encodeChat: refuse,
    decode: () => "",
    stream: () => silent,
  };
}
