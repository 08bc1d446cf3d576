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

/** Riemann's zeta function of 2, the exponent of the frequencies. */
const ZETA = Math.PI ** 2 / 6;

/** From this size on the third word is always more frequent than the fourth. */
const LEAST = Math.ceil(ZETA / (1 / (ASKED + 1) ** 2 - 1 / (ASKED + 2) ** 2));

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
    least: LEAST,
    open: (index) => {
      const draw = createDraw(NAME, seed, index);
      const codes = new Set([DOTS]);
      while (codes.size < vocabularySize) codes.add(draw.letters(LETTERS));
      const vocabulary = [...codes];
      return (size) => {
        const words = vocabulary.flatMap((code, at) =>
          new Array<string>(Math.floor(size / (ZETA * (at + 1) ** 2))).fill(code)
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
