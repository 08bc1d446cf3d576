import type { TokenSpan } from "../../runtime/evict/pinned.ts";
import { answerStarts } from "../prompt/answer_opening.ts";
import type { RequestPrompt } from "./request.ts";

/**
 * Tokens of a chat behind which a step of its own begins, so that what other chats have in common with
 * it is found again: its system message, which many begin with, and each turn so far, where this chat's
 * next prompt goes on.
 */
export function stepCuts(
  prompt: RequestPrompt,
  ids: readonly number[],
  { system, opening }: {
    readonly system: readonly TokenSpan[];
    /** What stands between a user's message and the answer to it. */
    readonly opening: readonly number[];
  },
): readonly number[] {
  if (prompt.kind !== "chat") return [];
  const cuts = new Set([...system.map(({ to }) => to), ...answerStarts(ids, opening)]);
  return [...cuts].sort((a, b) => a - b);
}
