import { createStopText } from "../../runtime/sampling/stop_text.ts";
import type { TextStream } from "../../runtime/tokenizer/tokenizer.ts";

/** A token whose text is final. */
export interface FinalToken<Token> {
  readonly token: Token;
  /** What has become final with it. */
  readonly text: string;
}

/** What an answer's text has come to. */
export interface TextProgress<Token> {
  readonly tokens: readonly FinalToken<Token>[];
  /** The stop text that ended it. */
  readonly stopText?: string;
}

/**
 * Turns the tokens of an answer into text that is final: never half a character, nor the beginning of
 * what may become a stop text. A token waits until all of its text is final, so that those of a stop
 * text, though its beginning ends another token's text, are never given.
 */
export interface AnswerText<Token> {
  push(id: number, token: Token): TextProgress<Token>;
  /** What was held back, at the end. */
  end(): TextProgress<Token>;
}

/**
 * The text of one answer.
 *
 * @param stream Decodes the answer's tokens.
 */
export function createAnswerText<Token>(
  stream: TextStream,
  stops: readonly string[],
): AnswerText<Token> {
  const stopText = createStopText(stops);
  const waiting: { readonly token: Token; readonly start: number; readonly end: number }[] = [];
  let [written, released] = [0, 0];
  /** Text that is final, but for whose token something may still come. */
  let text = "";
  let all = "";

  const release = (final: string, whole: boolean): FinalToken<Token>[] => {
    text += final;
    released += final.length;
    const tokens: FinalToken<Token>[] = [];
    for (;;) {
      const [next] = waiting;
      if (!next) return tokens;
      const ready = next.end <= released || (whole && next.start < released);
      if (!ready) return tokens;
      waiting.shift();
      const length = Math.min(next.end, released) - (released - text.length);
      tokens.push({ token: next.token, text: text.slice(0, length) });
      text = text.slice(length);
    }
  };
  return {
    push(id, token) {
      const piece = stream.push(id);
      waiting.push({ token, start: written, end: written + piece.length });
      written += piece.length;
      all += piece;
      const { text: final, stopped } = stopText.push(piece);
      const tokens = release(final, stopped);
      if (!stopped) return { tokens };
      const at = all.slice(released);
      const found = stops.filter((stop) => stop !== "" && at.startsWith(stop));
      return { tokens, stopText: found[0] ?? "" };
    },
    end: () => ({ tokens: release(stopText.flush(), true) }),
  };
}
