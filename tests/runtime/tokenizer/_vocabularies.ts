import type { TokenizerSource } from "../../../runtime/checkpoint/checkpoint.ts";

/** `tokenizer.json` of 8 tokens, made by hand; `Ġ` is a space. */
export const TINY = {
  model: {
    type: "BPE",
    vocab: { h: 0, i: 1, "Ġ": 2, hi: 3, "Ġhi": 4 },
    merges: ["h i", "Ġ hi"],
  },
  added_tokens: [
    { id: 5, content: "<s>", special: true, normalized: false },
    { id: 6, content: "<|im_end|>", special: true, normalized: false },
    { id: 7, content: "<tool>", special: false, normalized: false },
  ],
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
  post_processor: null,
  decoder: { type: "ByteLevel" },
};

/** A post-processor that opens every text with `<s>`. */
export const OPENS_WITH_BOS = {
  type: "Sequence",
  processors: [
    { type: "ByteLevel" },
    {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<s>": { id: "<s>", ids: [5], tokens: ["<s>"] } },
    },
  ],
};

/** A JSON source with changes to the tiny tokenizer and its settings. */
export function tinySource(
  config: Readonly<Record<string, unknown>> = {},
  tokenizer: Readonly<Record<string, unknown>> = {},
): TokenizerSource {
  return { kind: "json", tokenizer: { ...TINY, ...tokenizer }, config };
}

/** GGUF metadata of the same vocabulary. */
export const TINY_METADATA: Readonly<Record<string, unknown>> = {
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.pre": "gpt-2",
  "tokenizer.ggml.tokens": ["h", "i", "Ġ", "hi", "Ġhi", "<s>", "<|im_end|>", "<tool>"],
  "tokenizer.ggml.token_type": [1, 1, 1, 1, 1, 3, 3, 4],
  "tokenizer.ggml.merges": ["h i", "Ġ hi"],
  "tokenizer.ggml.bos_token_id": 5,
  "tokenizer.ggml.eos_token_id": 6,
};

/** A GGUF source with changes; `undefined` leaves a key out. */
export function tinyGguf(changes: Readonly<Record<string, unknown>> = {}): TokenizerSource {
  const changed = Object.entries(changes).map(([key, value]) => [`tokenizer.${key}`, value]);
  return { kind: "gguf", metadata: { ...TINY_METADATA, ...Object.fromEntries(changed) } };
}
