import type { GeneratedTask, GenerationRequest } from "../benchmark.ts";
import { createDraw } from "../generation/draw.ts";
import { createGeneratedTask, type Preparation } from "../generation/generated_task.ts";
import { stringMatchAll } from "./metrics.ts";

const NAME = "fwe";

/** Letters of a coded word. */
const LETTERS = 6;

/** Stands for the most frequent word. */
const DOTS = "...";

/** Words that are asked for: the most frequent ones after the dots. */
const ASKED = 3;

/** Tokens for each word of the vocabulary. */
const TOKENS_PER_CODE = 50;

/**
 * Where the frequencies are cut for the shortest text: from here on the third word is always more
 * frequent than the fourth.
 */
const LEAST_CUT = 32;

/** RULER's frequent words extraction: the three most frequent words of a coded text. */
export function frequentWordsTask(): GeneratedTask {
  return createGeneratedTask({
    name: NAME,
    summary: "Name the three most frequent words of a coded text.",
    metricName: "string_match_all",
    metric: stringMatchAll,
    maxTokens: 50,
    prepare,
  });
}

function prepare({ tokens, seed }: GenerationRequest): Preparation {
  const vocabularySize = Math.max(ASKED + 2, Math.floor(tokens / TOKENS_PER_CODE));
  return {
    min: countWords(LEAST_CUT, vocabularySize),
    open: (index) => {
      const draw = createDraw(NAME, seed, index);
      const codes = new Set([DOTS]);
      while (codes.size < vocabularySize) codes.add(draw.letters(LETTERS));
      const vocabulary = [...codes];
      return (size) => {
        const frequencies = frequenciesOf(size, vocabularySize);
        const words = vocabulary.flatMap((code, at) =>
          new Array<string>(frequencies[at] ?? 0).fill(code)
        );
        const text = createDraw(NAME, "order", seed, index).shuffle(words).join(" ");
        return {
          context:
            "Read the following coded text and track the frequency of each coded word. Find " +
            `the three most frequently appeared coded words. ${text}`,
          question:
            "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What " +
            "are the three most frequently appeared words in the above coded text?",
          prefix:
            " Answer: According to the coded text above, the three most frequently appeared " +
            "words are:",
          answers: vocabulary.slice(1, 1 + ASKED),
          facts: { words: words.length },
        };
      };
    },
  };
}

/**
 * Frequencies that fall with the square of the rank, as RULER's zeta distribution with an exponent
 * of 2 does. They add up to `words`: words whose turn is at the same cut come one by one.
 */
function frequenciesOf(words: number, vocabularySize: number): readonly number[] {
  let [low, high] = [0, words + 1];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (countWords(middle, vocabularySize) <= words) low = middle;
    else high = middle;
  }
  let left = words - countWords(low, vocabularySize);
  return Array.from({ length: vocabularySize }, (_, at) => {
    const square = (at + 1) ** 2;
    const extra = left > 0 && (low + 1) % square === 0 ? 1 : 0;
    left -= extra;
    return Math.floor(low / square) + extra;
  });
}

/** Words of a text whose frequencies are cut there: the word of rank `r` stands `cut / r²` times. */
function countWords(cut: number, vocabularySize: number): number {
  let sum = 0;
  for (let rank = 1; rank <= vocabularySize && rank ** 2 <= cut; rank++) {
    sum += Math.floor(cut / rank ** 2);
  }
  return sum;
}
