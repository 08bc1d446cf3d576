import { PromptError } from "../runtime/errors.ts";
import type { Prompt } from "../runtime/tokenizer/prompt.ts";
import type { Tokenizer } from "../runtime/tokenizer/tokenizer.ts";
import { note } from "./_output.ts";

/**
 * A prompt as the model reads it: text as it stands where a base model has no chat template, which is
 * then said.
 *
 * @throws {PromptError} If there is a system message, which only a template can render.
 */
export function readablePrompt(
  prompt: Prompt,
  { name, tokenizer }: { readonly name: string; readonly tokenizer: Tokenizer },
): Prompt {
  if (tokenizer.hasChatTemplate || "text" in prompt || "ids" in prompt) return prompt;
  const { system, text } = "messages" in prompt
    ? {
      system: prompt.messages.find(({ role }) => role === "system")?.content,
      text: prompt.messages.find(({ role }) => role === "user")?.content ?? "",
    }
    : { system: prompt.system, text: prompt.document.trimEnd() };
  if (system !== undefined) {
    throw new PromptError(
      `Cannot use a system message: ${name} has no chat template, its text is read as it stands; ` +
        "leave out --system, or write it into the text",
    );
  }
  // A checkpoint without a tokenizer refuses all text, and says why.
  tokenizer.encode("");
  note(`note: ${name} has no chat template: the text is read as it stands`);
  return { text };
}
