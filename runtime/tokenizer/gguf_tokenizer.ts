import { CheckpointError } from "../errors.ts";
import { type MetadataReader, readMetadata } from "./gguf_metadata.ts";
import { PRE_TOKENIZERS, type PreTokenizer } from "./pre_tokenizers.ts";
import type {
  AddedToken,
  TokenizerFiles,
  TokenizerJson,
  TokenizerSettings,
} from "./tokenizer_files.ts";

/**
 * Builds a `tokenizer.json` from GGUF metadata: byte-level BPE (`gpt2`) and SentencePiece BPE with
 * scores and byte fallback (`llama`).
 *
 * @throws {CheckpointError} If the vocabulary is of another kind, incomplete or damaged.
 */
export function readGgufTokenizer(metadata: Readonly<Record<string, unknown>>): TokenizerFiles {
  const reader = readMetadata(metadata);
  const model = reader.text("tokenizer.ggml.model");
  if (model === "gpt2") return readByteLevel(reader);
  if (model === "llama") return readSentencePiece(reader);
  if (model === undefined) {
    throw new CheckpointError(
      "Cannot read the tokenizer: the GGUF file has none (tokenizer.ggml.model is missing); give the " +
        "prompt as token ids, or use a file that has one",
    );
  }
  throw new CheckpointError(
    `Cannot read the tokenizer: GGUF vocabulary ${model} is not supported ` +
      "(supported: gpt2, llama); give the prompt as token ids",
  );
}

/** Values of `tokenizer.ggml.token_type`. */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

function readByteLevel(reader: MetadataReader): TokenizerFiles {
  const tokens = demand(reader.texts("tokenizer.ggml.tokens"), "tokens");
  const merges = demand(reader.texts("tokenizer.ggml.merges"), "merges");
  const pre = requirePreTokenizer(reader.text("tokenizer.ggml.pre"));
  const splits = pre.patterns.map((Regex) => ({
    type: "Split",
    pattern: { Regex },
    behavior: "Isolated",
    invert: false,
  }));
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  const tokenizer: TokenizerJson = {
    model: {
      type: "BPE",
      vocab: vocabulary(tokens),
      merges: merges.map(splitMerge),
      ignore_merges: pre.ignoreMerges ?? false,
    },
    added_tokens: addedTokens(reader, tokens),
    normalizer: pre.nfc ? { type: "NFC" } : null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [...splits, { ...bytes, use_regex: false }] },
    post_processor: null,
    decoder: { ...bytes, use_regex: true },
  };
  return { tokenizer, settings: readSettings(reader, tokens, pre.addBos ?? false) };
}

function readSentencePiece(reader: MetadataReader): TokenizerFiles {
  const tokens = demand(reader.texts("tokenizer.ggml.tokens"), "tokens");
  const scores = demand(reader.numbers("tokenizer.ggml.scores"), "scores");
  requireLength(scores, tokens, "scores");
  const added = addedTokens(reader, tokens);
  const unknownId = reader.integer("tokenizer.ggml.unknown_token_id");
  const types = reader.numbers("tokenizer.ggml.token_type");
  const spacePrefix = reader.flag("tokenizer.ggml.add_space_prefix") ?? true;
  const text = [
    { type: "Replace", pattern: { String: "▁" }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
  ];
  const tokenizer: TokenizerJson = {
    model: {},
    // SentencePiece looks for its own words in text whose spaces are marks already.
    added_tokens: (swallowsSpaces(reader) ? added.map(swallowing) : added)
      .map((token) => ({ ...token, normalized: !token.special })),
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: spacePrefix ? [...text, { type: "Strip", content: " ", start: 1, stop: 0 }] : text,
    },
  };
  return {
    tokenizer,
    settings: readSettings(reader, tokens, true),
    pieces: {
      tokens,
      scores,
      mergeable: (id) => (types?.[id] ?? NORMAL) === NORMAL,
      spacePrefix,
      ...(unknownId === undefined ? {} : { unknownId }),
    },
  };
}

/** Phi-3's control tokens take the spaces behind them away, which GGUF does not say. */
function swallowsSpaces(reader: MetadataReader): boolean {
  return reader.text("general.architecture") === "phi3";
}

/** Texts of control tokens that swallow nothing all the same. */
const ALONE = ["<unk>", "<s>", "<|endoftext|>"];

function swallowing(token: AddedToken): AddedToken {
  return token.special && !ALONE.includes(token.content) ? { ...token, rstrip: true } : token;
}

function readSettings(
  reader: MetadataReader,
  tokens: readonly string[],
  addBos: boolean,
): TokenizerSettings {
  const id = (name: string) => {
    const value = reader.integer(`tokenizer.ggml.${name}_token_id`);
    if (value === undefined || tokens[value] !== undefined) return value;
    throw new CheckpointError(
      `Cannot read the tokenizer: ${name} token id ${value} is not below the ` +
        `${tokens.length} tokens; the file may be damaged`,
    );
  };
  const names = [["bos", "bos"], ["eos", "eos"], ["unk", "unknown"], ["pad", "padding"]] as const;
  const texts = names.flatMap(([name, key]): [string, string][] => {
    const text = tokens[id(key) ?? -1];
    return text === undefined ? [] : [[`${name}_token`, text]];
  });
  const bosId = id("bos");
  const chatTemplate = reader.text("tokenizer.chat_template");
  return {
    tokens: Object.fromEntries(texts),
    ...(bosId === undefined ? {} : { bosId }),
    endIds: ["eos", "eot", "eom"].map(id).filter((value) => value !== undefined),
    addBos: reader.flag("tokenizer.ggml.add_bos_token") ?? addBos,
    ...(chatTemplate === undefined ? {} : { chatTemplate }),
  };
}

function addedTokens(reader: MetadataReader, tokens: readonly string[]): AddedToken[] {
  const types = reader.numbers("tokenizer.ggml.token_type");
  if (types === undefined) return [];
  requireLength(types, tokens, "token_type");
  return tokens.flatMap((content, id) => {
    const special = types[id] === CONTROL || types[id] === UNKNOWN;
    if ((!special && types[id] !== USER_DEFINED) || content === "") return [];
    return [{ id, content, special, normalized: false }];
  });
}

/** A prototype-free object, since tokens such as `__proto__` are ordinary text. */
function vocabulary(tokens: readonly string[]): Record<string, number> {
  const ids: Record<string, number> = Object.create(null);
  tokens.forEach((token, id) => ids[token] = id);
  return ids;
}

function splitMerge(merge: string): [string, string] {
  const space = merge.indexOf(" ", 1);
  if (space > 0 && space < merge.length - 1) return [merge.slice(0, space), merge.slice(space + 1)];
  throw new CheckpointError(
    `Cannot read the tokenizer: merge ${JSON.stringify(merge)} is not two tokens with a space ` +
      "between; the file may be damaged",
  );
}

function requirePreTokenizer(name = "default"): PreTokenizer {
  const found = PRE_TOKENIZERS.get(name);
  if (found !== undefined) return found;
  throw new CheckpointError(
    `Cannot read the tokenizer: pre-tokenizer ${name} is not supported ` +
      `(supported: ${[...PRE_TOKENIZERS.keys()].join(", ")}); give the prompt as token ids`,
  );
}

function demand<T>(value: T | undefined, name: string): T {
  if (value !== undefined) return value;
  throw new CheckpointError(
    `Cannot read the tokenizer: GGUF metadata tokenizer.ggml.${name} is missing; ` +
      "the file may be damaged, or give the prompt as token ids",
  );
}

function requireLength(list: ArrayLike<number>, tokens: readonly string[], name: string): void {
  if (list.length === tokens.length) return;
  throw new CheckpointError(
    `Cannot read the tokenizer: tokenizer.ggml.${name} has ${list.length} entries for ` +
      `${tokens.length} tokens; the file may be damaged`,
  );
}
