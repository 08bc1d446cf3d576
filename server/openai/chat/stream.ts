import { serverSentEvent } from "../../http/event_stream.ts";
import type { DoneEvent, GenerationEvent } from "../../scheduler/events.ts";
import type { ReplyHead } from "../head.ts";
import { tokenLogprob } from "../logprobs.ts";
import { reportOf, usageOf } from "../report.ts";
import { createChoice } from "./choice.ts";
import { type ChatReplyOptions, finishReason } from "./reply.ts";

/** How a reply is streamed. */
export interface ChatStreamOptions extends ChatReplyOptions {
  /** Whether the usage follows in a part of its own. */
  readonly includeUsage: boolean;
  /** Whether reading the prompt is told of. */
  readonly progress: boolean;
}

/** A reply in parts: `chat.completion.chunk` as server-sent events, without the end `[DONE]`. */
export async function* chatStream(
  head: ReplyHead,
  events: AsyncIterable<GenerationEvent>,
  options: ChatStreamOptions,
): AsyncGenerator<string, void> {
  const usage = options.includeUsage ? { usage: null } : {};
  const chunk = (choices: readonly object[], more: object = usage) =>
    serverSentEvent({
      id: head.id,
      object: "chat.completion.chunk",
      created: head.created,
      model: head.model,
      system_fingerprint: head.fingerprint,
      choices,
      ...more,
    });
  const part = (index: number, delta: object, logprobs: object | null, reason: string | null) => ({
    index,
    delta,
    logprobs,
    finish_reason: reason,
  });
  const choices = Array.from(
    { length: options.choices },
    () => createChoice(options.tools, options.newId),
  );
  for (const index of choices.keys()) {
    yield chunk([part(index, { role: "assistant", content: "", refusal: null }, null, null)]);
  }
  // The last answer's end carries the report, which comes behind it.
  let ending: { readonly index: number; readonly reason: string } | undefined;
  let done: DoneEvent | undefined;
  for await (const event of events) {
    if (ending) {
      const report = event.kind === "done" ? reportOf(event) : {};
      yield chunk([part(ending.index, {}, null, ending.reason)], { ...usage, ...report });
      ending = undefined;
    }
    if (event.kind === "reading" && options.progress) {
      const { done: processed, total, cached: cache } = event;
      yield chunk([], { ...usage, prompt_progress: { total, cache, processed } });
    }
    if (event.kind === "token" || event.kind === "end") {
      const index = event.choice;
      const choice = choices[index];
      if (!choice) continue;
      const delta = event.kind === "token" ? choice.push(event.text) : choice.end(event.text);
      const logprobs = options.logprobs && event.kind === "token"
        ? { content: [tokenLogprob(event)], refusal: null }
        : null;
      const changed = deltaOf(delta);
      if (changed || logprobs) {
        yield chunk([part(index, changed ?? { content: "" }, logprobs, null)]);
      }
      if (event.kind === "end") {
        ending = { index, reason: finishReason(event.finishReason, choice.calls.length) };
      }
    }
    if (event.kind === "done") done = event;
  }
  if (done && options.includeUsage) yield chunk([], { usage: usageOf(done) });
}

function deltaOf(
  { content, calls }: { readonly content: string; readonly calls: readonly object[] },
): object | undefined {
  if (content === "" && calls.length === 0) return undefined;
  return {
    ...(content === "" ? {} : { content }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}
