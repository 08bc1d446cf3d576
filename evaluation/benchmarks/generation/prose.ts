import { BenchmarkError } from "../errors.ts";

/** A text of any length, cut at words. */
export interface Prose {
  /** Words of the text itself, before it is repeated. */
  readonly length: number;
  /** Sentences of `count` words, beginning at a word; the last may be cut short. */
  sentences(count: number, start?: number): string[];
  /** Numbers of the words that open a sentence. */
  readonly starts: readonly number[];
}

/** Titles and the like, whose full stop ends no sentence. */
const ABBREVIATION = /^\W*(?:mr|mrs|ms|dr|prof|rev|st|sr|jr|vs|etc|no|[a-z])\.$/i;

/**
 * Takes a text as a stock of prose, repeated as often as needed.
 *
 * @throws {BenchmarkError} If there is no word in it.
 *
 * @example
 * ```ts
 * import { createProse } from "./prose.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const prose = createProse("It rained.\n Mr. Holmes slept.");
 * assertEquals(prose.sentences(7), ["It rained.", "Mr. Holmes slept.", "It rained."]);
 * ```
 */
export function createProse(text: string): Prose {
  const words = text.replace(/^\uFEFF/, "").split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    throw new BenchmarkError("Cannot hide needles: the haystack has no words; give a text");
  }
  const ends = words.map(endsSentence);
  // A repetition never goes on with the last sentence of a text that was cut.
  ends[words.length - 1] = true;
  return {
    length: words.length,
    starts: words.flatMap((_, at) => (at === 0 || ends[at - 1]) ? [at] : []),
    sentences(count, start = 0) {
      const sentences: string[] = [];
      let open: string[] = [];
      for (let index = 0; index < count; index++) {
        const at = (start + index) % words.length;
        open.push(words[at] ?? "");
        if (!ends[at] && index + 1 < count) continue;
        sentences.push(open.join(" "));
        open = [];
      }
      return sentences;
    },
  };
}

function endsSentence(word: string): boolean {
  return /[.!?]["'’”)\]]*$/.test(word) && !ABBREVIATION.test(word);
}
