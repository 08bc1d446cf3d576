import * as v from "npm:valibot@1.5.0";
import { PromptError } from "../runtime/errors.ts";
import { ANY_OBJECT, checkJson } from "../runtime/schema.ts";
import type { Prompt } from "../runtime/tokenizer/prompt.ts";
import { demandText } from "../runtime/given.ts";

/** An answer that stands in the data: its text or its token ids. */
export type KnownAnswer = { readonly text: string } | { readonly ids: readonly number[] };

/** One prompt of a set. */
export interface EvaluationPrompt {
  /** Line of the file, from 1. */
  readonly line: number;
  /** The prompt. */
  readonly prompt: Prompt;
  /** Stands for the model's own answer. */
  readonly response?: KnownAnswer;
}

/** A line that cannot be used. */
export interface BrokenLine {
  /** Line of the file, from 1. */
  readonly line: number;
  /** Why it cannot be used. */
  readonly reason: string;
}

/** What a file of prompts holds. */
export interface PromptSet {
  /** The prompts. */
  readonly prompts: readonly EvaluationPrompt[];
  /** Lines that cannot be used. */
  readonly broken: readonly BrokenLine[];
}

/**
 * Reads prompts from JSONL: an object per line with `messages` (a conversation that ends with the
 * user's turn), `prompt` (raw text) or `ids`, and perhaps `response` (text or ids). Lines that cannot
 * be used are listed, empty ones passed over.
 *
 * @param place Where the text comes from, for the error.
 * @throws {PromptError} If no line can be used.
 *
 * @example
 * ```ts
 * import { readPromptSet } from "./prompt_set.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { prompts, broken } = readPromptSet('{"prompt": "Once"}\n{"prompt": 1}\n', "a text");
 * assertEquals(prompts, [{ line: 1, prompt: { text: "Once" } }]);
 * assertEquals(broken, [{ line: 2, reason: '"prompt" must be a text that is not empty, got 1' }]);
 * ```
 */
export function readPromptSet(text: string, place: string): PromptSet {
  demandText("read prompts", "they", text, "lines of JSON");
  const prompts: EvaluationPrompt[] = [];
  const broken: BrokenLine[] = [];
  for (const [index, content] of text.replace(/^\uFEFF/, "").split("\n").entries()) {
    if (content.trim() === "") continue;
    const line = index + 1;
    const read = checkJson(LINE, content);
    if ("problem" in read) broken.push({ line, reason: read.problem });
    else prompts.push({ line, ...read.value });
  }
  if (prompts.length > 0) return { prompts, broken };
  const [first] = broken;
  throw new PromptError(
    `Cannot find a usable prompt in ${place}: ` +
      (first ? `line ${first.line}: ${first.reason}; ` : "it is empty; ") +
      'it must be JSONL with "messages" or "prompt" in each line',
  );
}

const IDS = v.pipe(
  v.array(v.pipe(v.number(), v.safeInteger("a token id"), v.minValue(0, "a token id"))),
  v.minLength(1, "token ids, not empty"),
);
const TEXT = v.pipe(v.string("a text that is not empty"), v.nonEmpty("a text that is not empty"));

const MESSAGES = v.pipe(
  v.array(v.object({ role: v.string(), content: v.string() })),
  v.minLength(1, "an array that is not empty"),
  v.check(
    (messages) => messages.at(-1)?.role !== "assistant",
    "a conversation whose last turn is not the assistant's",
  ),
);

const ANSWER = v.nullish(v.union(
  [
    v.pipe(TEXT, v.transform((text): KnownAnswer => ({ text }))),
    v.pipe(IDS, v.transform((ids): KnownAnswer => ({ ids }))),
  ],
  "a text or token ids, not empty",
));

const FORMS = ["messages", "prompt", "ids"];

const LINE = v.pipe(
  ANY_OBJECT,
  v.check(
    (line) => FORMS.filter((form) => line[form] !== undefined).length === 1,
    'an object with one of "messages", "prompt" or "ids"',
  ),
  v.object({
    messages: v.exactOptional(MESSAGES),
    prompt: v.exactOptional(TEXT),
    ids: v.exactOptional(IDS),
    response: ANSWER,
  }),
  v.transform(({ response, messages = [], prompt: text, ids }): LineContent => ({
    prompt: text !== undefined ? { text } : ids ? { ids } : { messages },
    ...(response ? { response } : {}),
  })),
);

type LineContent = Omit<EvaluationPrompt, "line">;
