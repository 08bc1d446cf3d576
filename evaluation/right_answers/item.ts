import { createPrng } from "../../policies/_random.ts";
import type { ChatMessage } from "../../runtime/tokenizer/tokenizer.ts";

/** Where the question stands: behind the document, or before it with nothing behind. */
export type QuestionPlace = "end" | "front";

/** Which half of the tasks: they have no name, wording or seed in common. */
export type Split = "validation" | "test";

/** How a document and a question are joined, for each place of the question. */
export type Frames = Readonly<
  Record<QuestionPlace, (document: string, question: string) => string>
>;

/** A question about a document, and the answer that must come. */
export interface AnswerItem {
  /** Unique within a run. */
  readonly id: string;
  readonly document: string;
  readonly question: string;
  /** Joins both into the user's turn. */
  readonly frames: Frames;
  /** What a right answer holds: a number or a word. */
  readonly expected: string;
}

/** Draws what an item is made of; the same seed draws the same. */
export interface Draw {
  /** An integer from `least` to `most`, both possible. */
  integer(min: number, max: number): number;
  /** One of the values. */
  one<T>(values: readonly [T, ...T[]]): T;
}

/** Opens the draw of an item. */
export function createDraw(seed: number, split: Split, item: number): Draw {
  const next = createPrng(seed, split === "test" ? 1 : 2, item);
  const integer = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  return {
    integer,
    one: (values) => values[integer(0, values.length - 1)] ?? values[0],
  };
}

/** The conversation that asks an item's question. */
export function messagesOf(
  { document, question, frames }: AnswerItem,
  place: QuestionPlace,
): readonly ChatMessage[] {
  return [{ role: "user", content: frames[place](document, question) }];
}

/**
 * Whether an answer holds what is expected: a number as a whole, a word as a whole and in any case.
 *
 * @example
 * ```ts
 * import { isRight } from "./item.ts";
 * import { assert } from "@std/assert";
 *
 * assert(isRight("The code is 75315.", "75315"));
 * assert(!isRight("The code is 753159.", "75315"));
 * assert(isRight("It has 1,250 steps", "1250"));
 * assert(isRight("It is Amber!", "amber"));
 * ```
 */
export function isRight(answer: string, expected: string): boolean {
  if (/^\d+$/.test(expected)) {
    const plain = answer.replace(/(?<=\d),(?=\d{3}(?!\d))/g, "");
    return new RegExp(`(?<!\\d|\\d\\.)${expected}(?!\\d|\\.\\d)`).test(plain);
  }
  const word = expected.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(?<![\\p{L}\\d])${word}(?![\\p{L}\\d])`, "iu").test(answer);
}
