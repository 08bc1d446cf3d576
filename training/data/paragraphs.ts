import type { TrainingExample } from "./example.ts";
import { kindOf } from "./kind.ts";

/**
 * Makes prompts of a plain text: paragraphs are gathered in order until the next one would take a
 * prompt over `limit` characters. A paragraph that is longer on its own is cut between words.
 *
 * @param limit Characters per prompt.
 */
export function* gatherParagraphs(text: string, limit: number): Generator<TrainingExample> {
  let gathered = "";
  let start = 1;
  for (const { paragraph, line } of pieces(text, limit)) {
    if (gathered !== "" && gathered.length + 2 + paragraph.length > limit) {
      yield example(gathered, start);
      gathered = "";
    }
    if (gathered === "") start = line;
    gathered = gathered === "" ? paragraph : `${gathered}\n\n${paragraph}`;
  }
  if (gathered !== "") yield example(gathered, start);
}

function example(content: string, line: number): TrainingExample {
  const messages = [{ role: "user", content }];
  return { messages, kind: kindOf(undefined, { messages }), line };
}

function* pieces(text: string, limit: number): Generator<{ paragraph: string; line: number }> {
  const blank = /\r?\n(?:[ \t]*\r?\n)+/g;
  let line = 1;
  for (let from = 0; from < text.length;) {
    const gap = blank.exec(text);
    const to = gap?.index ?? text.length;
    for (const part of cut(text.slice(from, to), limit)) {
      const paragraph = part.trim();
      const leading = part.length - part.trimStart().length;
      if (paragraph !== "") yield { paragraph, line: line + newlines(part.slice(0, leading)) };
      line += newlines(part);
    }
    line += newlines(gap?.[0] ?? "");
    from = gap ? blank.lastIndex : text.length;
  }
}

/** Parts of at most `limit` characters, cut after white space where there is any. */
function* cut(text: string, limit: number): Generator<string> {
  for (let from = 0; from < text.length;) {
    let to = Math.min(text.length, from + limit);
    if (to < text.length) {
      const space = text.slice(from, to).search(/\s\S*$/);
      if (space >= 0) to = from + space + 1;
      // Never between the two halves of a character.
      else if (/[\uD800-\uDBFF]/.test(text.charAt(to - 1))) to += 1;
    }
    yield text.slice(from, to);
    from = to;
  }
}

function newlines(text: string): number {
  return text.split("\n").length - 1;
}
