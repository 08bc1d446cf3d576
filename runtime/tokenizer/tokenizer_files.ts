/** The part of `tokenizer.json` that is read or made here; the rest is the library's. */
export interface TokenizerJson {
  readonly model: Readonly<Record<string, unknown>>;
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
}

/** An entry of `added_tokens`. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** A control token rather than text. */
  readonly special: boolean;
  /** Looked for in the text after normalising rather than before. */
  readonly normalized: boolean;
  /** Stands for itself alone, not as a part of a word. */
  readonly single_word?: boolean;
  /** Swallows the spaces before it. */
  readonly lstrip?: boolean;
  /** Swallows the spaces behind it. */
  readonly rstrip?: boolean;
}

/** What `tokenizer_config.json` or GGUF metadata say besides the vocabulary. */
export interface TokenizerSettings {
  /** Texts of control tokens by the name that templates use: `bos_token`, `eos_token`, … */
  readonly tokens: Readonly<Record<string, string>>;
  readonly bosId?: number;
  /** Ids that are named as the end of a text or a turn. */
  readonly endIds: readonly number[];
  /** Raw text opens with BOS. */
  readonly addBos: boolean;
  readonly chatTemplate?: string;
}

/** Pieces with scores, which SentencePiece merges by. */
export interface ScoredPieces {
  /** By id. */
  readonly tokens: readonly string[];
  /** By id; higher is merged earlier. */
  readonly scores: ArrayLike<number>;
  /** Whether text becomes a token at all: control tokens and bytes do not. */
  readonly mergeable: (id: number) => boolean;
  /** Id of characters that the vocabulary has neither as pieces nor as bytes. */
  readonly unknownId?: number;
  /** A text begins with a space that it does not have. */
  readonly spacePrefix: boolean;
}

/** Everything that makes a tokenizer. */
export interface TokenizerFiles {
  readonly tokenizer: TokenizerJson;
  readonly settings: TokenizerSettings;
  /** Present: in place of the `model` of the tokenizer. */
  readonly pieces?: ScoredPieces;
}
