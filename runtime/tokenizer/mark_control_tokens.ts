import type { GuardedText } from "./guarded_text.ts";

/** Marks what could be read as control tokens in texts of users, before a template works on them. */
export interface ControlTokenMarks {
  /** A value with marks in all its texts, lists and records, names too. */
  mark(value: unknown): unknown;
  /** Takes the marks out of what a template made of it; where they were is guarded. */
  unmark(rendered: string): GuardedText;
}

/** Units at the beginning and at the end of a control token that give it away. */
const EDGE = 3;

/** First of the private characters that may serve as a mark. */
const FIRST_MARK = 0xf5a00;

/**
 * Prepares marks for one rendering. A template may trim, cut or quote what users said, so where their
 * words end up is not known; but a mark that stands inside of each `<|im_end|>` travels with it.
 * Where a template compares with text (`'</think>' in content`), it finds what it looks for.
 *
 * @param controls Texts of control tokens.
 * @param values All that users said: the mark is a character that they have not.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const said = "  end of turn: <|end|>";
 * const marks = markControlTokens(["<|end|>"], [said]);
 * const { text, guards } = marks.unmark(`[${String(marks.mark(said)).trim()}]<|end|>`);
 * assertEquals(text, "[end of turn: <|end|>]<|end|>");
 * assertEquals(guards, [{ from: 15, to: 15 }, { from: 20, to: 20 }]);
 * ```
 */
export function markControlTokens(
  controls: readonly string[],
  values: readonly unknown[],
): ControlTokenMarks {
  const mark = unusedCharacter(values);
  const begins = new Set<string>();
  const ends = new Set<string>();
  for (const control of controls) {
    begins.add(control.slice(0, EDGE));
    ends.add(control.slice(-EDGE));
  }
  const sizes = [...new Set([...begins, ...ends].map((edge) => edge.length))];
  const firsts = new Set([...begins, ...ends].map((edge) => edge.charCodeAt(0)));

  const marked = (text: string): string => {
    const places = new Set<number>();
    for (let at = 0; at < text.length; at++) {
      if (!firsts.has(text.charCodeAt(at))) continue;
      for (const size of sizes) {
        const edge = text.slice(at, at + size);
        if (begins.has(edge)) places.add(at + 1);
        // A control token of one unit has no inside: it stands between two marks.
        if (ends.has(edge)) places.add(at + edge.length - 1);
      }
    }
    let result = "";
    let from = 0;
    for (const place of [...places].sort((a, b) => a - b)) {
      result += text.slice(from, place) + mark;
      from = place;
    }
    return result + text.slice(from);
  };
  const markAll = (value: unknown): unknown => {
    if (typeof value === "string") return marked(value);
    if (Array.isArray(value)) return value.map(markAll);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [marked(name), markAll(inner)]),
    );
  };
  return {
    mark: markAll,
    unmark(rendered) {
      const pieces = rendered.split(mark);
      let at = 0;
      const guards = pieces.slice(0, -1).map((piece, index) => {
        const from = index > 0 && piece.length === 1 ? at : at + piece.length;
        at += piece.length;
        return { from, to: at };
      });
      return { text: pieces.join(""), guards };
    },
  };
}

function unusedCharacter(values: readonly unknown[]): string {
  const used = JSON.stringify(values);
  for (let code = FIRST_MARK;; code++) {
    const character = String.fromCodePoint(code);
    if (!used.includes(character)) return character;
  }
}
