import type { ChatMessage, Tokenizer } from "./tokenizer/tokenizer.ts";

/** What a model is given to read. */
export type Prompt =
  /** A conversation, rendered with the checkpoint's chat template. */
  | { readonly messages: readonly ChatMessage[] }
  /** Text as it is, without a template. */
  | { readonly text: string }
  /** Token ids as they are. */
  | { readonly ids: readonly number[] };

/** The token ids of a prompt. */
export function promptIds(prompt: Prompt, tokenizer: Tokenizer): readonly number[] {
  if ("ids" in prompt) return prompt.ids;
  return "text" in prompt ? tokenizer.encode(prompt.text) : tokenizer.encodeChat(prompt.messages);
}
