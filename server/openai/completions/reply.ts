import type { DoneEvent, GenerationEvent } from "../../scheduler/events.ts";
import type { ReplyHead } from "../head.ts";
import { reportOf, usageOf } from "../report.ts";
import { addLogprob, type CompletionLogprobs, noLogprobs } from "./logprobs.ts";

/** One prompt's answers. */
export interface CompletedPrompt {
  readonly choices: readonly {
    readonly text: string;
    readonly logprobs: CompletionLogprobs | null;
    readonly finishReason: "stop" | "length";
  }[];
  readonly done: DoneEvent;
}

/** How a prompt is completed. */
export interface CompletionOptions {
  readonly choices: number;
  readonly logprobs: boolean;
  /** The prompt's text, where it is to stand in front of each answer. */
  readonly echo: string | undefined;
}

/** Gathers the answers to a prompt. */
export async function completed(
  events: AsyncIterable<GenerationEvent>,
  { choices, logprobs, echo = "" }: CompletionOptions,
): Promise<CompletedPrompt> {
  const answers = Array.from({ length: choices }, () => ({
    text: echo,
    offset: echo.length,
    logprobs: noLogprobs(),
    finishReason: "stop" as "stop" | "length",
  }));
  for await (const event of events) {
    if (event.kind === "prompt") {
      for (const answer of answers) {
        event.tokens.reduce((at, token) => addLogprob(answer.logprobs, token, at), 0);
      }
    } else if (event.kind === "token") {
      const answer = answers[event.choice];
      if (!answer) continue;
      answer.text += event.text;
      if (logprobs) answer.offset = addLogprob(answer.logprobs, event, answer.offset);
    } else if (event.kind === "end") {
      const answer = answers[event.choice];
      if (!answer) continue;
      answer.text += event.text;
      answer.finishReason = event.finishReason;
    } else if (event.kind === "done") {
      return {
        choices: answers.map(({ offset: _, ...answer }) => ({
          ...answer,
          logprobs: logprobs ? answer.logprobs : null,
        })),
        done: event,
      };
    }
  }
  throw new Error("the scheduler ended a request without saying so");
}

/** A whole reply: `text_completion`. */
export function completionReply(head: ReplyHead, prompts: readonly CompletedPrompt[]) {
  const usages = prompts.map(({ done }) => usageOf(done));
  const sum = (read: (usage: ReturnType<typeof usageOf>) => number) =>
    usages.reduce((total, usage) => total + read(usage), 0);
  const [only, ...others] = prompts;
  return {
    id: head.id,
    object: "text_completion" as const,
    created: head.created,
    model: head.model,
    system_fingerprint: head.fingerprint,
    choices: prompts.flatMap(({ choices }) => choices)
      .map(({ text, logprobs, finishReason }, index) => ({
        text,
        index,
        logprobs,
        finish_reason: finishReason,
      })),
    usage: {
      prompt_tokens: sum((usage) => usage.prompt_tokens),
      completion_tokens: sum((usage) => usage.completion_tokens),
      total_tokens: sum((usage) => usage.total_tokens),
      prompt_tokens_details: {
        cached_tokens: sum((usage) => usage.prompt_tokens_details.cached_tokens),
      },
    },
    // Several prompts have several reports; there is no form for them.
    ...(only && others.length === 0 ? reportOf(only.done) : {}),
  };
}
