import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";

/** Text that is shown as one: a token, or the tokens that only together give a character. */
export interface Piece {
  /** Position of its first token. */
  readonly from: number;
  /** Its tokens. */
  readonly count: number;
  /** Printable text, never empty; `\n` is the only control character in it. */
  readonly text: string;
}

/**
 * Cuts a prompt into what can be shown. Tokens that end in the middle of a character join the next
 * one; a token without text (padding, or a checkpoint without tokenizer) is shown as its id.
 */
export function pieces(ids: readonly number[], tokenizer: Tokenizer): Piece[] {
  const stream = tokenizer.stream();
  const made: Piece[] = [];
  let from = 0;
  for (const [at, id] of ids.entries()) {
    const text = stream.push(id);
    if (text !== "") made.push({ from, count: at + 1 - from, text: printable(text) });
    else if (tokenizer.decode([id]) === "") {
      if (at > from) made.push(broken(from, at - from));
      made.push({ from: at, count: 1, text: `<${id}>` });
    } else continue;
    from = at + 1;
  }
  if (from < ids.length) made.push(broken(from, ids.length - from));
  return made;
}

/** Tokens whose bytes never became a character. */
function broken(from: number, count: number): Piece {
  return { from, count, text: "\ufffd" };
}

/** Columns of a tab behind its mark. */
const TAB = "⇥   ";

/** Control characters, and those that are invisible or turn the text around, less the emoji joiner. */
const UNSEEN = /[\p{Cc}\p{Cs}\p{Co}\p{Zl}\p{Zp}]|(?!\u200d)\p{Cf}/gu;

/**
 * Makes every character visible, so that no text can move the cursor, colour or reorder what is
 * shown: `↵` before a line break, `⇥` for a tab, pictures such as `␛` or `<U+202E>` for the rest.
 */
export function printable(text: string): string {
  return text.replace(UNSEEN, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (character === "\n") return "↵\n";
    if (character === "\t") return TAB;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "␡";
    return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
  });
}
