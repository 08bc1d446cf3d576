import type { GenerationEvent } from "../../scheduler/events.ts";
import type { ReplyHead } from "../head.ts";
import { tokenLogprob } from "../logprobs.ts";
import { reportOf, usageOf } from "../report.ts";
import { createChoice } from "./choice.ts";

/** How a reply is made. */
export interface ChatReplyOptions {
  readonly choices: number;
  readonly tools: boolean;
  readonly logprobs: boolean;
  readonly newId: () => string;
}

/** A whole reply: `chat.completion`. */
export async function chatReply(
  head: ReplyHead,
  events: AsyncIterable<GenerationEvent>,
  options: ChatReplyOptions,
) {
  const answers = Array.from({ length: options.choices }, () => ({
    choice: createChoice(options.tools, options.newId),
    content: "",
    logprobs: [] as ReturnType<typeof tokenLogprob>[],
    finishReason: "stop" as "stop" | "length" | "tool_calls",
  }));
  for await (const event of events) {
    if (event.kind === "token") {
      const answer = answers[event.choice];
      if (!answer) continue;
      answer.content += answer.choice.push(event.text).content;
      if (options.logprobs) answer.logprobs.push(tokenLogprob(event));
    } else if (event.kind === "end") {
      const answer = answers[event.choice];
      if (!answer) continue;
      answer.content += answer.choice.end(event.text).content;
      answer.finishReason = finishReason(event.finishReason, answer.choice.calls.length);
    } else if (event.kind === "done") {
      return {
        id: head.id,
        object: "chat.completion" as const,
        created: head.created,
        model: head.model,
        system_fingerprint: head.fingerprint,
        choices: answers.map(({ choice: { calls }, content, logprobs, finishReason }, index) => ({
          index,
          message: {
            role: "assistant" as const,
            content: content === "" && calls.length > 0 ? null : content,
            refusal: null,
            ...(calls.length > 0 ? { tool_calls: calls.map(({ index: _, ...call }) => call) } : {}),
          },
          logprobs: options.logprobs ? { content: logprobs, refusal: null } : null,
          finish_reason: finishReason,
        })),
        usage: usageOf(event),
        ...reportOf(event),
      };
    }
  }
  throw new Error("the scheduler ended a request without saying so");
}

/** Why an answer ended, where it may have called tools. */
export function finishReason(
  reason: "stop" | "length",
  calls: number,
): "stop" | "length" | "tool_calls" {
  return reason === "stop" && calls > 0 ? "tool_calls" : reason;
}
