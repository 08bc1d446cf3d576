import { PromptError } from "../runtime/errors.ts";
import type { Prompt } from "../runtime/tokenizer/prompt.ts";
import type { ChatMessage } from "../runtime/tokenizer/tokenizer.ts";

/** An answer that stands in the data: its text or its token ids. */
export type KnownAnswer = { readonly text: string } | { readonly ids: readonly number[] };

/** One prompt of a set. */
export interface EvaluationPrompt {
  /** Line of the file, from 1. */
  readonly line: number;
  readonly prompt: Prompt;
  /** Stands for the model's own answer. */
  readonly response?: KnownAnswer;
}

/** A line that cannot be used. */
export interface BrokenLine {
  /** Line of the file, from 1. */
  readonly line: number;
  readonly reason: string;
}

/** What a file of prompts holds. */
export interface PromptSet {
  readonly prompts: readonly EvaluationPrompt[];
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
 * assertEquals(broken, [{ line: 2, reason: '"prompt" must be a text that is not empty' }]);
 * ```
 */
export function readPromptSet(text: string, place: string): PromptSet {
  const prompts: EvaluationPrompt[] = [];
  const broken: BrokenLine[] = [];
  for (const [index, content] of text.replace(/^\uFEFF/, "").split("\n").entries()) {
    if (content.trim() === "") continue;
    const line = index + 1;
    const read = readLine(content);
    if (typeof read === "string") broken.push({ line, reason: read });
    else prompts.push({ line, ...read });
  }
  if (prompts.length > 0) return { prompts, broken };
  const [first] = broken;
  throw new PromptError(
    `Cannot find a usable prompt in ${place}: ` +
      (first ? `line ${first.line}: ${first.reason}; ` : "it is empty; ") +
      'it must be JSONL with "messages" or "prompt" in each line',
  );
}

type LineContent = Omit<EvaluationPrompt, "line">;

/** The content of a line, or what is wrong with it. */
function readLine(content: string): LineContent | string {
  let record: unknown;
  try {
    record = JSON.parse(content);
  } catch {
    return "it is not JSON";
  }
  if (!isRecord(record)) return "it must be a JSON object";
  const prompt = readPrompt(record);
  if (typeof prompt === "string") return prompt;
  const { response } = record;
  if (response === undefined || response === null) return { prompt };
  if (typeof response === "string" && response !== "") {
    return { prompt, response: { text: response } };
  }
  if (isIds(response)) return { prompt, response: { ids: response } };
  return '"response" must be a text or token ids, not empty';
}

function readPrompt({ messages, prompt, ids }: Record<string, unknown>): Prompt | string {
  const given = [messages, prompt, ids].filter((value) => value !== undefined);
  if (given.length !== 1) return 'it must have one of "messages", "prompt" or "ids"';
  if (prompt !== undefined) {
    return typeof prompt === "string" && prompt !== ""
      ? { text: prompt }
      : '"prompt" must be a text that is not empty';
  }
  if (ids !== undefined) return isIds(ids) ? { ids } : '"ids" must be token ids, not empty';
  if (!Array.isArray(messages) || !messages.every(isMessage)) {
    return '"messages" must be objects with the texts "role" and "content"';
  }
  const last = messages.at(-1);
  if (last === undefined) return '"messages" is empty';
  if (last.role === "assistant") return 'the last of "messages" must not be the assistant\'s';
  return { messages };
}

function isMessage(value: unknown): value is ChatMessage {
  return isRecord(value) && typeof value.role === "string" && typeof value.content === "string";
}

function isIds(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length > 0 &&
    value.every((id) => Number.isSafeInteger(id) && id >= 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
