import { PromptError } from "../errors.ts";
import type { ChatMessage, Tokenizer } from "./tokenizer.ts";

/**
 * What follows an answer in the {@linkcode completionForm}: a model that was never tuned to chat goes
 * on with a question of its own.
 */
export const NEXT_QUESTION = "\nQuestion:";

/**
 * A conversation as text for a model without a chat template: questions and answers by turns, open for
 * the next answer. Of the forms tried on Gemma 3 270M it makes known answers likeliest
 * (`docs/training.md`).
 *
 * @throws {PromptError} If there is no message.
 *
 * @example
 * ```ts
 * import { completionForm } from "./completion_form.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const text = completionForm([
 *   { role: "user", content: "What is 2 + 2?" },
 *   { role: "assistant", content: "4" },
 *   { role: "user", content: "And 3 + 3?" },
 * ]);
 * assertEquals(text, "Question: What is 2 + 2?\nAnswer: 4\n\nQuestion: And 3 + 3?\nAnswer:");
 * ```
 */
export function completionForm(messages: readonly ChatMessage[]): string {
  if (messages.length === 0) {
    throw new PromptError("Cannot read a conversation without messages: give at least one");
  }
  const turns = messages.map(({ role, content }) => {
    if (role === "user") return `Question: ${content.trim()}\nAnswer:`;
    return role === "assistant" ? ` ${content.trim()}\n\n` : `${content.trim()}\n\n`;
  });
  return turns.join("").trimEnd();
}

/**
 * Ids of a conversation: rendered with the checkpoint's chat template, or in the
 * {@linkcode completionForm} where it has none.
 *
 * @throws {PromptError} If there is no message, or the template refuses them.
 */
export function conversationIds(messages: readonly ChatMessage[], tokenizer: Tokenizer): number[] {
  return tokenizer.hasChatTemplate
    ? tokenizer.encodeChat(messages)
    : tokenizer.encode(completionForm(messages), { special: false });
}
