import { PromptError } from "../../runtime/errors.ts";
import { type ChatRenderer, renderChat } from "./render_chat.ts";

/** What users may say: what follows it is the same for all. */
const SAID = ["A", "1", "("];

/**
 * The ids between what a user said and the answer to it: the end of every prompt of a chat, and so where
 * the next one goes on. Empty where the template writes none, or there is none.
 */
export function answerOpening(tokenizer: ChatRenderer): readonly number[] {
  if (!tokenizer.hasChatTemplate) return [];
  try {
    const [first = [], ...others] = SAID.map((content) =>
      renderChat({ messages: [{ role: "user", content }] }, tokenizer)
    );
    const shared = Math.min(...others.map((ids) => commonSuffix(first, ids)));
    return first.slice(first.length - shared);
  } catch (error) {
    if (error instanceof PromptError) return [];
    throw error;
  }
}

/** Behind which tokens answers begin, in ascending order. */
export function answerStarts(ids: readonly number[], opening: readonly number[]): number[] {
  if (opening.length === 0) return [];
  const starts: number[] = [];
  for (let end = opening.length; end <= ids.length; end++) {
    if (opening.every((id, at) => ids[end - opening.length + at] === id)) starts.push(end);
  }
  return starts;
}

function commonSuffix(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a.at(-1 - length) === b.at(-1 - length)) length++;
  return length;
}
