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
  const begun = begunBy(after, vocabulary);
  decoder.decode(begun, { stream: true });
  /** Whether what the tokens before have begun may turn out to be no character: that is not of this text. */
  let foreign = begun.length > 0 && !goesOn;

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
      const text = decoder.decode(bytesOf(vocabulary, token), { stream: true });
      const broken = foreign && text.startsWith(REPLACEMENT);
      foreign &&= text === "";
      return trimmed(broken ? text.slice(REPLACEMENT.length) : text);
    },
    flush: () => {
      decoder.decode();
      return "";
    },
    close: () => trimmed(decoder.decode()),
  };
}

const REPLACEMENT = "\ufffd";

/** The bytes at the end of some tokens that may be the beginning of a character. */
function begunBy(ids: readonly number[], vocabulary: Vocabulary): Uint8Array<ArrayBuffer> {
  let bytes: number[] = [];
  for (const id of ids.slice(-MOST_BEFORE)) {
    const token = vocabulary.token(id);
    const ends = token === undefined || vocabulary.special.has(id);
    bytes = ends ? [] : [...bytes, ...bytesOf(vocabulary, token)];
  }
  for (let at = Math.max(0, bytes.length - MOST_BEFORE); at < bytes.length; at++) {
    const first = bytes[at] ?? 0;
    const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    if (length > bytes.length - at) return Uint8Array.from(bytes.slice(at));
  }
  return new Uint8Array();
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
