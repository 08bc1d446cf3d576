import { type GgufValue, readGgufHeader } from "../../runtime/checkpoint/gguf_header.ts";

/** What a GGUF file says of a byte-level tokenizer. */
export interface BigTokenizer {
  readonly pre: string;
  readonly tokens: readonly string[];
  readonly types: readonly number[];
  readonly merges: readonly string[];
}

/** `tokenizer.ggml.token_type` of a token that no text has. */
const UNUSED = 5;

/**
 * The byte-level tokenizer of a GGUF file, cut or filled up to so many tokens. Tokens are numbered in the
 * order of their merges, so that the first ones of a vocabulary are a tokenizer of their own.
 *
 * @throws {Error} If the file has no such tokenizer.
 */
export function cutTokenizer(path: string, vocabulary: number): BigTokenizer {
  const { metadata } = readGgufHeader(path);
  const field = (name: string) => metadata[`tokenizer.ggml.${name}`];
  const known = texts(field("tokens"));
  if (field("model") !== "gpt2" || known.length === 0) {
    throw new Error(`Cannot take the tokenizer of ${path}: it is not byte-level`);
  }
  const filler = Array.from(
    { length: Math.max(0, vocabulary - known.length) },
    (_, index) => `<|unused_${index}|>`,
  );
  const tokens = [...known.slice(0, vocabulary), ...filler];
  const kept = new Set(tokens);
  const types = numbers(field("token_type"));
  return {
    pre: String(field("pre") ?? "default"),
    tokens,
    types: tokens.map((_, index) => index < known.length ? types[index] ?? 1 : UNUSED),
    merges: texts(field("merges")).filter((merge) => {
      const [left = "", right = ""] = merge.split(" ");
      return kept.has(left) && kept.has(right) && kept.has(left + right);
    }),
  };
}

function texts(value: GgufValue | undefined): string[] {
  return list(value).map(String);
}

function numbers(value: GgufValue | undefined): number[] {
  return list(value).map(Number);
}

function list(value: GgufValue | undefined): readonly GgufValue[] {
  return Array.isArray(value) ? value : [];
}
