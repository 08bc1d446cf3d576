import type { Engine } from "../engine/engine.ts";
import { PromptError } from "../errors.ts";

/** How a first prompt is to be read. */
export interface FirstReading {
  /** Whether it may pass the context. @default {false} */
  readonly inPieces?: boolean | undefined;
  /** Whether the session's policy evicts. */
  readonly evicts: boolean;
}

/**
 * Refuses a first prompt that cannot be read.
 *
 * @throws {PromptError} If it is empty, too long or has ids that the model does not know.
 */
export function checkPrompt(
  ids: readonly number[],
  { config: { context, vocabulary } }: Engine,
  { inPieces = false, evicts }: FirstReading,
) {
  if (ids.length === 0) throw new PromptError("Cannot read an empty prompt: give some text");
  if (ids.length >= context && !inPieces) {
    throw new PromptError(
      `Cannot read a prompt of ${ids.length} tokens: the model's context is ${context} tokens and ` +
        "the answer needs at least one; shorten the prompt, use a model with a longer context, or read " +
        `it with 'inPieces'${
          evicts ? "" : " and a 'policy' that evicts"
        }, with an eviction behind ` +
        "each piece",
      { options: evicts ? ["inPieces"] : ["inPieces", "policy"] },
    );
  }
  checkIds(ids, vocabulary);
}

/**
 * Refuses more text that cannot be read.
 *
 * @throws {PromptError} If it is empty or has ids that the model does not know.
 */
export function checkMore(ids: readonly number[], { config: { vocabulary } }: Engine) {
  if (ids.length === 0) throw new PromptError("Cannot append nothing: give some text");
  checkIds(ids, vocabulary);
}

function checkIds(ids: readonly number[], vocabulary: number): void {
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
  if (wrong === undefined) return;
  throw new PromptError(
    `Cannot read token id ${wrong}: ids must be integers from 0 to ${vocabulary - 1}`,
  );
}
