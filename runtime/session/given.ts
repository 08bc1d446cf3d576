import { PromptError } from "../errors.ts";
import { demandOptions, kindOfGiven, type OptionKinds } from "../given.ts";
import { demandMessages } from "../tokenizer/given_messages.ts";
import type { Prompt } from "../tokenizer/prompt.ts";
import type { GenerateOptions } from "./generate.ts";
import type { ReadOptions, SessionOptions } from "./session.ts";

const ANSWER_OPTIONS: OptionKinds<GenerateOptions & ReadOptions> = {
  signal: "signal",
  onProgress: "function",
  protect: "any",
  inPieces: "boolean",
  scores: "boolean",
  maxTokens: "any",
  stop: "any",
  constraint: "any",
  temperature: "any",
  topK: "any",
  topP: "any",
  minP: "any",
  repetitionPenalty: "any",
  seed: "any",
};

const SESSION_OPTIONS: OptionKinds<SessionOptions> = {
  policy: "any",
  budget: "any",
  chunk: "any",
  beyondContext: "any",
  protectSystem: "boolean",
  cachePrecision: "any",
};

/** What a prompt may be, for a sentence. */
const FORMS = "a text, which is a user's message, { messages }, { text }, { ids } or { document }";

/**
 * A prompt as it was given: a text is a user's message.
 *
 * @throws {PromptError} If it is of no form that prompts have. The sentence quotes nothing of it.
 */
export function givenPrompt(doing: string, given: unknown): Prompt {
  if (typeof given === "string") return { messages: [{ role: "user", content: given }] };
  const prompt: Readonly<Record<string, unknown>> =
    typeof given === "object" && given !== null && !Array.isArray(given) ? { ...given } : {};
  const { ids, text, messages, document, system } = prompt;
  const members = Object.keys(prompt).filter((name) => prompt[name] !== undefined);
  const form = members.find((name) => name !== "system");
  // What stands beside it would be left out without a word.
  const alone = members.every((name) =>
    name === form || (form === "document" && name === "system")
  );
  if (!alone) throw noPrompt(doing, given, members);
  const wrong = (name: string, must: string, value: unknown) =>
    new PromptError(`Cannot ${doing}: ${name} must be ${must}, got ${kindOfGiven(value)}`);
  if ("ids" in prompt) {
    if (Array.isArray(ids)) return { ids };
    if (ids instanceof Int32Array || ids instanceof Uint32Array) return { ids: [...ids] };
    throw wrong("'ids'", "an array of token ids", ids);
  }
  if ("text" in prompt) {
    if (typeof text === "string") return { text };
    throw wrong("'text'", "a text", text);
  }
  if ("messages" in prompt) {
    demandMessages(doing, messages);
    return { messages };
  }
  if ("document" in prompt) {
    if (typeof document !== "string") throw wrong("'document'", "a text", document);
    if (system === undefined) return { document };
    if (typeof system === "string") return { document, system };
    throw wrong("'system'", "a text", system);
  }
  throw noPrompt(doing, given, Object.keys(prompt));
}

function noPrompt(doing: string, given: unknown, members: readonly string[]): PromptError {
  const got = members.slice(0, 5).map((name) => name.slice(0, 40)).join(", ");
  return new PromptError(
    `Cannot ${doing}: a prompt is ${FORMS}, got ` +
      (got === "" ? kindOfGiven(given) : `an object of ${got}`),
  );
}

/** @throws {PromptError} If options of a session are none. */
export function checkSessionOptions(doing: string, options: unknown): void {
  demandOptions(doing, options, SESSION_OPTIONS);
}

/**
 * Those of answers are known as well: many read and answer with the same options.
 *
 * @throws {PromptError} If options of a reading are none.
 */
export function checkReadOptions(doing: string, options: unknown): void {
  demandOptions(doing, options, ANSWER_OPTIONS);
  const { protect = false } = options as ReadOptions;
  if (typeof protect === "boolean" || Array.isArray(protect)) return;
  throw new PromptError(
    `Cannot ${doing}: 'protect' must be true, false or spans such as [{ from: 0, to: 20 }], got ` +
      kindOfGiven(protect),
  );
}

/** @throws {PromptError} If options of an answer are none. */
export function checkAnswerOptions(doing: string, options: unknown): void {
  demandOptions(doing, options, ANSWER_OPTIONS);
  const { stop = [], constraint } = options as GenerateOptions;
  if (!Array.isArray(stop) || stop.some((text) => typeof text !== "string")) {
    throw new PromptError(
      `Cannot ${doing}: 'stop' must be an array of texts, got ${
        Array.isArray(stop) ? "an array of something else" : kindOfGiven(stop)
      }`,
      { options: ["stop"] },
    );
  }
  if (constraint === undefined || typeof constraint?.mask === "function") return;
  throw new PromptError(
    `Cannot ${doing}: 'constraint' must be what model.constraint(…) makes, got ` +
      kindOfGiven(constraint),
  );
}
