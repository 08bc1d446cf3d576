/** How a byte-level GGUF vocabulary is split before merging, by `tokenizer.ggml.pre`. */
export interface PreTokenizer {
  /** Patterns applied one after the other; what they match and what lies between are pieces. */
  readonly patterns: readonly string[];
  /** A piece that is a token as a whole is not merged. @default {false} */
  readonly ignoreMerges?: boolean;
  /** Whether raw text opens with BOS where the metadata does not say. @default {false} */
  readonly addBos?: boolean;
  /** Text is brought into Unicode form NFC first. @default {false} */
  readonly nfc?: boolean;
}

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/** The pattern that Llama 3 and Qwen 2 share, but for how digits are grouped. */
const modern = (digits: string) =>
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}` +
  String.raw`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

const UPPER = String.raw`\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}`;
const LOWER = String.raw`\p{Ll}\p{Lm}\p{Lo}\p{M}`;
const TEKKEN = String.raw`[^\r\n\p{L}\p{N}]?[${UPPER}]*[${LOWER}]+` +
  String.raw`|[^\r\n\p{L}\p{N}]?[${UPPER}]+[${LOWER}]*|\p{N}` +
  String.raw`| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

const gpt2: PreTokenizer = { patterns: [GPT2] };
const singleDigits: PreTokenizer = { patterns: [String.raw`\p{N}`, GPT2] };
const llama3: PreTokenizer = {
  patterns: [modern(String.raw`\p{N}{1,3}`)],
  ignoreMerges: true,
  addBos: true,
};
const qwen2: PreTokenizer = { patterns: [modern(String.raw`\p{N}`)], nfc: true };
const fallback: PreTokenizer = {
  patterns: [String.raw`[\p{P}$+<=>^~|]+`, GPT2, String.raw`\p{N}+`, "[0-9][0-9][0-9]"],
};

/** Known names of `tokenizer.ggml.pre`. */
export const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ["default", fallback],
  ["gpt-2", gpt2],
  ["smollm", singleDigits],
  ["starcoder", singleDigits],
  ["refact", singleDigits],
  ["llama-bpe", llama3],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["falcon3", llama3],
  ["smaug-bpe", { patterns: llama3.patterns }],
  ["qwen2", qwen2],
  ["deepseek-r1-qwen", qwen2],
  ["tekken", { patterns: [TEKKEN], ignoreMerges: true, addBos: true }],
]);
