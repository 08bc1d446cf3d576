import type { TokenSpan } from "../../runtime/evict/pinned.ts";
import { commonPrefix } from "../../runtime/tokenizer/prompt.ts";
import type { RequestPrompt } from "../scheduler/request.ts";
import type { ChatPrompt } from "./chat_prompt.ts";
import { type ChatRenderer, renderChat } from "./render_chat.ts";

/** Beginnings of what a user may say: what comes before is the same for all. */
const SAID = ["A", "1", "("];

/** What stands in front of whatever a user says: the ids that all such conversations begin with. */
export function openingIds(
  tokenizer: ChatRenderer,
  chat: (said: string) => Omit<ChatPrompt, "kind">,
): readonly number[] {
  const [first = [], ...others] = SAID.map((said) => renderChat(chat(said), tokenizer));
  return first.slice(0, Math.min(...others.map((ids) => commonPrefix(first, ids))));
}

/** The tokens of a chat's system message, and of the tools that it tells of. */
export function systemSpans(
  prompt: RequestPrompt,
  ids: readonly number[],
  tokenizer: ChatRenderer,
): readonly TokenSpan[] {
  if (prompt.kind !== "chat") return [];
  const { messages: [first], tools = [] } = prompt;
  const system = first?.role === "system" ? [first] : [];
  if (system.length === 0 && tools.length === 0) return [];
  const opening = openingIds(tokenizer, (said) => ({
    ...prompt,
    messages: [...system, { role: "user", content: said }],
  }));
  const to = commonPrefix(ids, opening);
  return to === 0 ? [] : [{ from: 0, to }];
}
