import type { GeneratedTask, GenerationRequest } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { createDraw } from "../generation/draw.ts";
import { createGeneratedTask, type Preparation } from "../generation/generated_task.ts";
import { createProse, type Prose } from "../generation/prose.ts";
import { stringMatchAll } from "../ruler/metrics.ts";
import { demandObject, demandText } from "../../../runtime/given.ts";

/** A sentence to find. */
export interface NiahNeedle {
  /** One sentence, or a few. */
  readonly text: string;
  /** What is asked about it. */
  readonly question: string;
  /** What a right output holds; the score is the share of them. */
  readonly answers: readonly string[];
}

/** The sentence of the original test. */
export const ORIGINAL_NEEDLE: NiahNeedle = {
  text:
    "The best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day.",
  question: "What is the best thing to do in San Francisco?",
  answers: ["sandwich", "Dolores Park", "sunny day"],
};

/** Depths from the beginning (0) to the end (100) in steps of ten per cent. */
export const NIAH_DEPTHS: readonly number[] = Array.from({ length: 11 }, (_, at) => 10 * at);

/** What {@linkcode niahTask} takes. */
export interface NiahOptions {
  /** Prose around the needle, repeated as often as needed. */
  readonly haystack: string;
  /** Per cent of the haystack's tokens before the needle. @default {NIAH_DEPTHS} */
  readonly depths?: readonly number[];
  /**
   * What is hidden.
   *
   * @default {ORIGINAL_NEEDLE}
   */
  readonly needle?: NiahNeedle;
}

/**
 * The needle test: one sentence in prose, at one depth after the other. Sample number `i` has depth
 * `depths[i % depths.length]`, so `depths.length` samples are a column of the map. The needle stands
 * behind the last sentence that ends before its depth; all depths of a column share their prose.
 *
 * @throws {BenchmarkError} If the haystack has no words, a depth is not from 0 to 100, or the needle
 * lacks an answer or the haystack holds it.
 *
 * @example
 * ```ts
 * import { niahTask } from "./niah.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const task = niahTask({ haystack: "It was a dark night. It rained.", depths: [0, 50] });
 * const countTokens = (text: string) => text.split(/\s+/).filter(Boolean).length;
 * const samples = [...task.generate({ tokens: 200, samples: 2, seed: 1, countTokens })];
 * assertEquals(samples.map(({ facts }) => facts.depth), [0, 50]);
 * ```
 */
export function niahTask(
  options: NiahOptions,
): GeneratedTask {
  demandObject("make a needle task", "its options", options);
  const { haystack, depths = NIAH_DEPTHS, needle = ORIGINAL_NEEDLE } = options;
  demandText("make a needle task", "'haystack'", haystack);
  const prose = createProse(haystack);
  checkDepths(depths);
  checkNeedle(needle, haystack);
  return createGeneratedTask({
    name: NAME,
    summary: "Find one sentence at any depth of a text of any length.",
    metricName: "string_match_all",
    metric: stringMatchAll,
    maxTokens: 64,
    prepare: (request) => prepare(prose, depths, needle, request),
  });
}

const NAME = "niah";

function checkDepths(depths: readonly number[]): void {
  if (depths.length === 0) {
    throw new BenchmarkError("Cannot hide a needle without a depth; give at least one");
  }
  const wrong = depths.find((depth) => !(depth >= 0 && depth <= 100));
  if (wrong === undefined) return;
  throw new BenchmarkError(
    `Cannot hide a needle at a depth of ${wrong} %: it must be from 0 to 100; give another`,
  );
}

function checkNeedle({ text, answers }: NiahNeedle, haystack: string): void {
  if (answers.length === 0) {
    throw new BenchmarkError("Cannot judge answers about a needle without any; give at least one");
  }
  const prose = haystack.replace(/\s+/g, " ").toLowerCase();
  for (const answer of answers) {
    if (!text.toLowerCase().includes(answer.toLowerCase())) {
      throw new BenchmarkError(
        `Cannot use a needle without its answer "${answer}"; give a sentence that holds it`,
      );
    }
    if (prose.includes(answer.toLowerCase())) {
      throw new BenchmarkError(
        `Cannot hide a needle whose answer "${answer}" the haystack holds already; give another ` +
          "haystack or another needle",
      );
    }
  }
}

function prepare(
  prose: Prose,
  depths: readonly number[],
  needle: NiahNeedle,
  { seed, countTokens }: GenerationRequest,
): Preparation {
  const sizes = new Map<string, number>();
  const sizeOf = (sentence: string) => {
    const size = sizes.get(sentence) ?? countTokens(sentence);
    sizes.set(sentence, size);
    return size;
  };
  return {
    min: 1,
    open: (index) => {
      const depth = depths[index % depths.length] ?? 0;
      const column = Math.floor(index / depths.length);
      const [start = 0] = createDraw(NAME, seed, column).sample(prose.starts, 1);
      return (size) => {
        const sentences = prose.sentences(size, start);
        const at = sentencesBefore(sentences.map(sizeOf), depth);
        const text = [...sentences.slice(0, at), needle.text, ...sentences.slice(at)].join(" ");
        return {
          context: `${INTRODUCTION}\n\n<context>\n${text}\n</context>\n\n`,
          question: `${needle.question} ${REQUEST}`,
          prefix: ` ${PREFIX}`,
          answers: needle.answers,
          facts: { depth, column, needles: 1 },
        };
      };
    },
  };
}

/** Sentences that end before a depth. */
function sentencesBefore(sizes: readonly number[], depth: number): number {
  if (depth === 100) return sizes.length;
  const bound = (depth / 100) * sizes.reduce((sum, size) => sum + size, 0);
  let sum = 0;
  const first = sizes.findIndex((size) => (sum += size) > bound);
  return first < 0 ? sizes.length : first;
}

/** Sentences of the original test. */
const INTRODUCTION =
  "You are a helpful AI bot that answers questions for a user. Keep your response short and direct";
const REQUEST = "Don't give information outside the document or repeat your findings";
const PREFIX = "Here is the most relevant sentence in the context:";
