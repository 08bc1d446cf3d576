import { PromptError } from "../errors.ts";
import { demandObject, kindOfGiven } from "../given.ts";
import type { ChatMessage } from "./tokenizer.ts";

/**
 * Refuses what are no messages. The sentence quotes nothing of them.
 *
 * @param doing What cannot be done then, as in "read a prompt".
 * @throws {PromptError} If that is so.
 */
export function demandMessages(
  doing: string,
  given: unknown,
): asserts given is readonly ChatMessage[] {
  if (!Array.isArray(given)) {
    throw new PromptError(
      `Cannot ${doing}: 'messages' must be an array such as [{ role: "user", content: "Who?" }], got ` +
        kindOfGiven(given),
    );
  }
  for (const [index, message] of given.entries()) {
    demandObject(doing, `message ${index}`, message);
    const { role, content }: Readonly<Record<string, unknown>> = { ...message };
    for (const [name, value] of Object.entries({ role, content })) {
      if (typeof value === "string") continue;
      throw new PromptError(
        `Cannot ${doing}: '${name}' of message ${index} must be a text, got ${kindOfGiven(value)}`,
      );
    }
  }
}
