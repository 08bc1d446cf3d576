import { PromptError } from "../errors.ts";
import type { TokenBytes } from "./token_bytes.ts";
import type { StreamOptions, TextStream } from "./tokenizer.ts";

/** What a stream must know of the vocabulary. */
export interface Vocabulary extends TokenBytes {
  /** The token of an id, if it has one. */
  token(id: number): string | undefined;
  /** Texts of tokens that stand for themselves. */
  readonly verbatim: ReadonlySet<string>;
  /** Ids of control tokens. */
  readonly special: ReadonlySet<number>;
}

/** A {@linkcode TextStream} that can also end with the bytes of an incomplete character. */
export interface ByteStream extends TextStream {
  /** Ends the text like a plain decoder: an incomplete character becomes U+FFFD. */
  close(): string;
}

/** Tokens that may have begun a character of four bytes without completing it. */
const MOST_BEFORE = 3;

/** Decodes tokens one by one, keeping the bytes of a character until it is complete. */
export function createTextStream(
  vocabulary: Vocabulary,
  skipSpecial: boolean,
  { after = [], goesOn = false }: Pick<StreamOptions, "after" | "goesOn"> = {},
): ByteStream {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let started = goesOn || !vocabulary.dropsFirstSpace;
  for (const id of after.slice(-MOST_BEFORE)) {
    const token = vocabulary.token(id);
    const ends = token === undefined || vocabulary.special.has(id);
    decoder.decode(ends ? undefined : bytesOf(vocabulary, token), { stream: !ends });
  }

  const trimmed = (text: string): string => {
    if (started || text === "") return text;
    started = true;
    return text.startsWith(" ") ? text.slice(1) : text;
  };

  return {
    push(id) {
      requireId(id);
      const token = vocabulary.token(id);
      if (token === undefined || (skipSpecial && vocabulary.special.has(id))) return "";
      return trimmed(decoder.decode(bytesOf(vocabulary, token), { stream: true }));
    },
    flush: () => {
      decoder.decode();
      return "";
    },
    close: () => trimmed(decoder.decode()),
  };
}

const encoder = new TextEncoder();

/** The bytes of a token; an added one is its own text. */
export function bytesOf(vocabulary: Vocabulary, token: string): Uint8Array {
  return vocabulary.verbatim.has(token) ? encoder.encode(token) : vocabulary.bytes(token);
}

function requireId(id: number): void {
  if (!Number.isInteger(id) || id < 0) {
    throw new PromptError(`Cannot decode token id ${id}: ids are non-negative integers`);
  }
}
