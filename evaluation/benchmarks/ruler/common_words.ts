import { type GeneratedTask, type GenerationRequest, promptText } from "../benchmark.ts";
import { createDraw } from "../generation/draw.ts";
import { createGeneratedTask, type Preparation } from "../generation/generated_task.ts";
import { stringMatchAll } from "./metrics.ts";
import { createWordSource } from "./words.ts";

const NAME = "cwe";

/** Common words, which are asked for. */
const COMMON = 10;

/** How often words stand in a list, and uncommon words of the solved example. */
interface Frequencies {
  readonly common: number;
  readonly uncommon: number;
  readonly exampleCommon: number;
  readonly exampleUncommon: number;
  readonly exampleWords: number;
}

const LONG: Frequencies = {
  common: 30,
  uncommon: 3,
  exampleCommon: 10,
  exampleUncommon: 3,
  exampleWords: 30,
};
const SHORT: Frequencies = {
  common: 6,
  uncommon: 1,
  exampleCommon: 3,
  exampleUncommon: 1,
  exampleWords: 10,
};

/** Tokens from which lists are long. */
const LONG_TOKENS = 4096;

/** Most of a prompt that a long list may take without its uncommon words. */
const LONGEST_START = 0.9;

/** RULER's common words extraction: the ten most frequent words of a list, after an example. */
export function commonWordsTask(): GeneratedTask {
  return createGeneratedTask({
    name: NAME,
    summary: "Name the ten words that stand most often in a list.",
    metricName: "string_match_all",
    metric: stringMatchAll,
    maxTokens: 120,
    prepare,
  });
}

function prepare({ tokens, seed, countTokens }: GenerationRequest): Preparation {
  if (tokens < LONG_TOKENS) return prepareLists(SHORT, seed);
  const long = prepareLists(LONG, seed);
  // Tokenizers that split words much would leave no room for uncommon ones.
  const shortest = countTokens(promptText(long.open(0)(long.min), "last"));
  return shortest <= LONGEST_START * tokens ? long : prepareLists(SHORT, seed);
}

function prepareLists(often: Frequencies, seed: number): Preparation {
  return {
    min: 1,
    open: (index) => {
      const list = createList(often.common, often.uncommon, ["list", seed, index]);
      const example = createList(often.exampleCommon, often.exampleUncommon, [
        "example",
        seed,
        index,
      ])(often.exampleWords);
      const solved = `${wordingOf(example.text).join("")} ${numbered(example.common)}\n`;
      return (size) => {
        const { text, common } = list(size);
        const [context, question, prefix] = wordingOf(text);
        return {
          context: `${solved}${context}`,
          question,
          prefix,
          answers: common,
          facts: { words: COMMON + size, common: often.common, uncommon: often.uncommon },
        };
      };
    },
  };
}

/** A list with so many uncommon words. */
function createList(
  commonTimes: number,
  uncommonTimes: number,
  seeds: readonly (number | string)[],
): (uncommon: number) => { readonly text: string; readonly common: readonly string[] } {
  const source = createWordSource(createDraw(NAME, ...seeds));
  return (uncommon) => {
    const words = source(COMMON + uncommon);
    const entries = words.flatMap((word, at) =>
      new Array<string>(at < COMMON ? commonTimes : uncommonTimes).fill(word)
    );
    const order = createDraw(NAME, "order", ...seeds).shuffle(entries);
    return { text: numbered(order), common: words.slice(0, COMMON) };
  };
}

function numbered(words: readonly string[]): string {
  return words.map((word, at) => `${at + 1}. ${word}`).join(" ");
}

/** RULER's sentences: context, question and prefix. */
function wordingOf(list: string): readonly [string, string, string] {
  return [
    "Below is a numbered list of words. In these words, some appear more often than others. " +
    `Memorize the ones that appear most often.\n${list}`,
    `\nQuestion: What are the ${COMMON} most common words in the above list?`,
    ` Answer: The top ${COMMON} words that appear most often in the list are:`,
  ];
}
