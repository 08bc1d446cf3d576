import { Tokenizer as Library } from "npm:@huggingface/tokenizers@0.2.0";
import { isRecord } from "../checkpoint/read_json.ts";
import { boundedPattern } from "./pattern/bounded_pattern.ts";
import { PRE_TOKENIZERS } from "./pre_tokenizers.ts";
import type { TokenizerJson } from "./tokenizer_files.ts";
import type { VocabularyModel } from "./vocabulary_model.ts";

/** A `tokenizer.json` as the reference library reads it; throws what the library throws. */
export function libraryModel(tokenizer: TokenizerJson): VocabularyModel {
  // BOS is added here by one rule, so the library's post-processor is left out.
  const library = new Library({ ...tokenizer, post_processor: null }, {});
  const { model, normalizer, pre_tokenizer: preTokenizer } = library;
  boundPatterns(normalizer, preTokenizer);
  return {
    size: model?.vocab.length ?? 0,
    token: (id) => library.id_to_token(id),
    id: (token) => library.token_to_id(token),
    ...(normalizer === null ? {} : { normalize: (text) => normalizer.normalize(text) }),
    encode(text, section, controls) {
      if (model === null || text === "") return [];
      const pieces = preTokenizer?.pre_tokenize(text, { section_index: section }) ?? [text];
      const idOf = (token: string) => library.token_to_id(token) ?? model.unk_token_id;
      return model._call(pieces).flatMap((token) => {
        const id = idOf(token);
        if (id !== undefined && controls.has(id) && token.length > 1 && text.includes(token)) {
          // A vocabulary may merge text to a control token: its characters stand for themselves.
          return model._call([...token]).map(idOf);
        }
        return [id];
      }).filter((id) => id !== undefined);
    },
  };
}

/** Patterns that are known to take time in proportion to the text. */
const KNOWN: ReadonlySet<string> = new Set(
  [...PRE_TOKENIZERS.values()].flatMap(({ patterns }) => patterns),
);

/** Bounds the time of a stranger's regular expressions, in all steps of the library's. */
function boundPatterns(...steps: readonly unknown[]): void {
  for (const step of steps) {
    // The library's steps can be called.
    if (!isRecord(step) && typeof step !== "function") continue;
    const { pattern, config, ...parts }: Record<string, unknown> = { ...step };
    const written = isRecord(config) && isRecord(config.pattern) ? config.pattern.Regex : undefined;
    if (pattern instanceof RegExp && typeof written === "string" && !KNOWN.has(written)) {
      Object.assign(step, { pattern: boundedPattern(pattern.source) });
    }
    boundPatterns(...Object.values(parts).flat());
  }
}
