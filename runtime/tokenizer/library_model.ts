import { Tokenizer as Library } from "npm:@huggingface/tokenizers@0.2.0";
import type { TokenizerJson } from "./tokenizer_files.ts";
import type { VocabularyModel } from "./vocabulary_model.ts";

/** A `tokenizer.json` as the reference library reads it; throws what the library throws. */
export function libraryModel(tokenizer: TokenizerJson): VocabularyModel {
  // BOS is added here by one rule, so the library's post-processor is left out.
  const library = new Library({ ...tokenizer, post_processor: null }, {});
  const { model, normalizer, pre_tokenizer: preTokenizer } = library;
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
