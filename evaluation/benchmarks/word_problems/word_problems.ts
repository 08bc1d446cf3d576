import * as v from "npm:valibot@1.5.0";
import { FILLED_TEXT } from "../../../runtime/schema.ts";
import type { BenchmarkMetric, BenchmarkSample, BenchmarkTask } from "../benchmark.ts";
import { readJsonLines } from "../json_lines.ts";
import { BenchmarkError } from "../errors.ts";

const FORMAT = "GSM8K";

const PROBLEM = v.object({ answer: FILLED_TEXT, question: FILLED_TEXT });

/**
 * The last number of an output, written without thousands separators and trailing zeros.
 *
 * @example
 * ```ts
 * import { lastNumber } from "./word_problems.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(lastNumber("3 boxes of 400 make $1,200.00."), "1200");
 * assertEquals(lastNumber("none"), undefined);
 * ```
 */
export function lastNumber(text: string): string | undefined {
  const found = text.match(/-?\d[\d,]*(?:\.\d+)?/g)?.at(-1);
  return found === undefined ? undefined : String(Number(found.replaceAll(",", "")));
}

/** 1 where the last number of the output is the answer. */
export const exactMatch: BenchmarkMetric = (output, { answers }) => {
  const marked = output.match(/####\s*(-?[\d,.]+)/)?.[1];
  const number = lastNumber(marked ?? output);
  return number !== undefined && answers.some((answer) => lastNumber(answer) === number) ? 1 : 0;
};

/** Word problems that are reasoned about at length: the answer of an output is its last number. */
export const wordProblems: BenchmarkTask = {
  name: "word_problems",
  summary: "Solve a word problem step by step.",
  metricName: "exact_match",
  metric: exactMatch,
};

/** What the model is asked to do. */
const REQUEST = 'Reason step by step. End with "####" and the answer as a number.';

/** What {@linkcode readWordProblems} takes besides the text. */
export interface WordProblemOptions {
  /** Most tokens of an output. */
  readonly maxTokens: number;
  /** At most so many, from the beginning. */
  readonly samples?: number;
}

/**
 * Reads word problems from JSONL as GSM8K has it: `question`, and an `answer` that ends with `####`
 * and a number.
 *
 * @param place Where the text comes from, for errors.
 * @throws {BenchmarkError} If a line is not so.
 *
 * @example
 * ```ts
 * import { readWordProblems } from "./word_problems.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const line = JSON.stringify({ question: "What is 2 + 2?", answer: "2 + 2 = 4\n#### 4" });
 * const [sample] = readWordProblems(line, "a text", { maxTokens: 64 });
 * assertEquals(sample?.answers, ["4"]);
 * ```
 */
export function readWordProblems(
  text: string,
  place: string,
  { maxTokens, samples = Infinity }: WordProblemOptions,
): readonly BenchmarkSample[] {
  return readJsonLines(text, place, FORMAT).slice(0, samples).map((line, at) => {
    const { question, answer: reasoning } = line.read(PROBLEM);
    const answer = reasoning.split("####").at(-1) ?? "";
    const number = lastNumber(answer);
    if (number === undefined) {
      throw new BenchmarkError(
        `Cannot read ${place} as ${FORMAT}: the answer of problem ${at + 1} must end with a number`,
      );
    }
    return {
      id: `${wordProblems.name}-${at}`,
      task: wordProblems.name,
      context: "",
      question: `${question}\n\n${REQUEST}`,
      prefix: "",
      answers: [number],
      maxTokens,
      facts: {},
    };
  });
}
