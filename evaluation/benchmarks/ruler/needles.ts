import type { GeneratedTask } from "../benchmark.ts";
import { createDraw, type Draw } from "../generation/draw.ts";
import {
  createGeneratedTask,
  type DraftAt,
  type Preparation,
} from "../generation/generated_task.ts";
import type { Prose } from "../generation/prose.ts";
import { stringMatchAll } from "./metrics.ts";
import { cutNoise, insertLines, NOISE_LINE_WORDS, noiseLines } from "./noise.ts";
import { drawKey } from "./words.ts";

type HaystackKind = "noise" | "essay" | "needle";
type KeyKind = "words" | "uuids";
type ValueKind = "numbers" | "uuids";

/** What sets the eight tasks apart. */
interface NeedleSettings {
  readonly name: string;
  readonly summary: string;
  readonly haystack: HaystackKind;
  readonly keys: KeyKind;
  readonly values: ValueKind;
  readonly keyCount: number;
  readonly valuesPerKey: number;
  /** Keys that are asked for. */
  readonly asked: number;
}

const SINGLE = { keyCount: 1, valuesPerKey: 1, asked: 1 };

const TASKS: readonly NeedleSettings[] = [
  {
    name: "niah_single_1",
    summary: "Find one number among repeated sentences.",
    ...{ haystack: "noise", keys: "words", values: "numbers" },
    ...SINGLE,
  },
  {
    name: "niah_single_2",
    summary: "Find one number in prose.",
    ...{ haystack: "essay", keys: "words", values: "numbers" },
    ...SINGLE,
  },
  {
    name: "niah_single_3",
    summary: "Find one UUID in prose.",
    ...{ haystack: "essay", keys: "words", values: "uuids" },
    ...SINGLE,
  },
  {
    name: "niah_multikey_1",
    summary: "Find the number of one of four keys in prose.",
    ...{ haystack: "essay", keys: "words", values: "numbers" },
    ...SINGLE,
    keyCount: 4,
  },
  {
    name: "niah_multikey_2",
    summary: "Find one number among lines that all look like it.",
    ...{ haystack: "needle", keys: "words", values: "numbers" },
    ...SINGLE,
  },
  {
    name: "niah_multikey_3",
    summary: "Find the UUID of a UUID among lines that all look like it.",
    ...{ haystack: "needle", keys: "uuids", values: "uuids" },
    ...SINGLE,
  },
  {
    name: "niah_multivalue",
    summary: "Find all four numbers of one key in prose.",
    ...{ haystack: "essay", keys: "words", values: "numbers" },
    ...SINGLE,
    valuesPerKey: 4,
  },
  {
    name: "niah_multiquery",
    summary: "Find the numbers of four keys in prose.",
    ...{ haystack: "essay", keys: "words", values: "numbers" },
    ...SINGLE,
    keyCount: 4,
    asked: 4,
  },
];

/** RULER's eight needle tasks. */
export function needleTasks(prose: Prose): readonly GeneratedTask[] {
  return TASKS.map((settings) =>
    createGeneratedTask({
      name: settings.name,
      summary: settings.summary,
      metricName: "string_match_all",
      metric: stringMatchAll,
      maxTokens: 128,
      prepare: ({ seed, countTokens }) => prepare(settings, prose, seed, countTokens),
    })
  );
}

interface Needle {
  readonly key: string;
  readonly value: string;
  readonly text: string;
}

function prepare(
  settings: NeedleSettings,
  prose: Prose,
  seed: number,
  countTokens: (text: string) => number,
): Preparation {
  const { name, haystack } = settings;
  const needleCount = settings.keyCount * settings.valuesPerKey;
  const lineWords = haystack === "needle" ? fillerWords(settings, seed, countTokens) : 0;
  const open = (index: number): DraftAt => {
    const draw = createDraw(name, seed, index);
    const make = createNeedles(settings, draw);
    const keys = Array.from({ length: settings.keyCount }, () => make.key());
    const needles = draw.shuffle(
      keys.flatMap((key) =>
        Array.from({ length: settings.valuesPerKey }, () => make.needle(key, make.value()))
      ),
    );
    const asked = draw.sample(keys, settings.asked);
    const depths = haystack === "essay"
      ? draw.sample(ESSAY_DEPTHS, needleCount)
      : needles.map(() => draw.integer(0, 9999) / 100);
    depths.sort((one, other) => one - other);
    const hay = createHay(settings, prose, lineWords, make);
    const words = wordingOf(settings, asked);
    const answers = asked.flatMap((key) =>
      needles.filter((needle) => needle.key === key).map(({ value }) => value)
    );
    const askedDepths = needles.flatMap(({ key }, at) =>
      asked.includes(key) ? depths.slice(at, at + 1) : []
    );
    return (size) => ({
      ...words,
      context: words.context + hay(size, needles.map(({ text }) => text), depths),
      answers,
      facts: {
        depth: askedDepths[0] ?? 0,
        depths: askedDepths.join(" "),
        needles: needleCount,
      },
    });
  };
  return { min: haystack === "essay" ? needleCount : NOISE_LINE_WORDS, open };
}

/** RULER's forty depths in prose, in per cent. */
const ESSAY_DEPTHS = Array.from({ length: 40 }, (_, at) => Math.round((100 * at) / 39));

/** Draws keys and values, none twice. */
function createNeedles({ keys, values }: NeedleSettings, draw: Draw) {
  const used = new Set<string>();
  const fresh = (make: () => string) => {
    let value = make();
    while (used.has(value)) value = make();
    used.add(value);
    return value;
  };
  return {
    key: () => fresh(() => keys === "uuids" ? draw.uuid() : drawKey(draw)),
    value: () =>
      fresh(() => values === "uuids" ? draw.uuid() : String(draw.integer(1_000_000, 9_999_999))),
    needle: (key: string, value: string): Needle => ({
      key,
      value,
      text: `One of the special magic ${values} for ${key} is: ${value}.`,
    }),
  };
}

/** Words of noise that are shorter than another line of needles: they fill what is left. */
function fillerWords(
  settings: NeedleSettings,
  seed: number,
  countTokens: (text: string) => number,
): number {
  const make = createNeedles(settings, createDraw(settings.name, "filler", seed));
  const lines = Array.from({ length: 8 }, () => make.needle(make.key(), make.value()).text);
  const word = countTokens(cutNoise(8 * NOISE_LINE_WORDS)) / (8 * NOISE_LINE_WORDS);
  return Math.max(1, Math.floor(countTokens(lines.join("\n")) / lines.length / word));
}

/** Lays the haystack of a size around needles. */
type Hay = (size: number, needles: readonly string[], depths: readonly number[]) => string;

function createHay(
  { haystack }: NeedleSettings,
  prose: Prose,
  lineWords: number,
  make: ReturnType<typeof createNeedles>,
): Hay {
  const positions = (parts: number, depths: readonly number[]) =>
    depths.map((depth) => Math.floor((parts * depth) / 100));
  switch (haystack) {
    case "essay":
      return (size, needles, depths) => {
        const sentences = prose.sentences(size);
        return insertLines(sentences, needles, positions(sentences.length, depths)).join(" ");
      };
    case "noise":
      return (size, needles, depths) => {
        const whole = Math.floor(size / NOISE_LINE_WORDS);
        return insertLines(noiseLines(size), needles, positions(whole, depths)).join("\n");
      };
    case "needle": {
      // Drawn once, in order, so that a longer haystack begins like a shorter one.
      const distractors: string[] = [];
      return (size, needles, depths) => {
        const whole = Math.floor(size / lineWords);
        while (distractors.length < whole) {
          distractors.push(make.needle(make.key(), make.value()).text);
        }
        const rest = size % lineWords;
        const lines = [...distractors.slice(0, whole), ...rest === 0 ? [] : [cutNoise(rest)]];
        return insertLines(lines, needles, positions(whole, depths)).join("\n");
      };
    }
  }
}

/** RULER's sentences, in the singular if there is one answer. */
function wordingOf({ values, valuesPerKey }: NeedleSettings, asked: readonly string[]) {
  const query = asked.length > 1
    ? `${asked.slice(0, -1).join(", ")}, and ${asked.at(-1) ?? ""}`
    : asked.join("");
  const memorize = "hidden within the following text. Make sure to memorize it. I will quiz you";
  const rest = `for ${query} mentioned in the provided text`;
  if (asked.length * valuesPerKey === 1) {
    const value = values.slice(0, -1);
    return {
      context: `A special magic ${value} is ${memorize} about the ${value} afterwards.\n`,
      question: `\nWhat is the special magic ${value} ${rest}?`,
      prefix: ` The special magic ${value} ${rest} is`,
    };
  }
  return {
    context: `Some special magic ${values} are ${memorize} about the ${values} afterwards.\n`,
    question: `\nWhat are all the special magic ${values} ${rest}?`,
    prefix: ` The special magic ${values} ${rest} are`,
  };
}
