import type { ChatMessage, Tokenizer } from "./tokenizer.ts";

/** What a model is given to read. */
export type Prompt =
  /** A conversation, rendered with the checkpoint's chat template. */
  | { readonly messages: readonly ChatMessage[] }
  /** Text as it is, without a template. */
  | { readonly text: string }
  /** Token ids as they are. */
  | { readonly ids: readonly number[] }
  /**
   * The beginning of a user's message, as the checkpoint's chat template opens it: a question is to
   * follow.
   */
  | { readonly document: string; readonly system?: string };

/** The token ids of a prompt. */
export function promptIds(prompt: Prompt, tokenizer: Tokenizer): readonly number[] {
  if ("ids" in prompt) return prompt.ids;
  if ("text" in prompt) return tokenizer.encode(prompt.text);
  if ("messages" in prompt) return tokenizer.encodeChat(prompt.messages);
  return openingIds(prompt, tokenizer);
}

/** A document and what is asked about it, as one message: the question last. */
export function asMessages(
  { document, system }: { readonly document: string; readonly system?: string },
  question: string,
): ChatMessage[] {
  const opening = system === undefined ? [] : [{ role: "system", content: system }];
  const content = document === "" ? question : `${document.trimEnd()}\n\n${question}`;
  return [...opening, { role: "user", content }];
}

/** Beginnings of questions whose first tokens merge differently with what stands before. */
const QUESTIONS = ["A", "1", "("];

/** Ids that are the same whatever is asked about the document. */
function openingIds(
  document: { readonly document: string; readonly system?: string },
  tokenizer: Tokenizer,
): number[] {
  const [first = [], ...others] = QUESTIONS.map((question) =>
    tokenizer.encodeChat(asMessages(document, question))
  );
  return first.slice(0, Math.min(...others.map((ids) => commonPrefix(first, ids))));
}

/** How many leading elements are equal. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
