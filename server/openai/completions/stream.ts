import { serverSentEvent } from "../../http/event_stream.ts";
import type { DoneEvent, GenerationEvent } from "../../scheduler/events.ts";
import type { ReplyHead } from "../head.ts";
import { reportOf, usageOf } from "../report.ts";
import { addLogprob, noLogprobs } from "./logprobs.ts";
import type { CompletionOptions } from "./reply.ts";

/** A prompt whose answers are streamed. */
export interface StreamedPrompt extends CompletionOptions {
  readonly events: AsyncIterable<GenerationEvent>;
}

/** A reply in parts, prompt by prompt, as server-sent events without the end `[DONE]`. */
export async function* completionStream(
  head: ReplyHead,
  prompts: AsyncIterable<StreamedPrompt>,
  includeUsage: boolean,
): AsyncGenerator<string, void> {
  const part = (choices: readonly object[], more: object) =>
    serverSentEvent({
      id: head.id,
      object: "text_completion",
      created: head.created,
      model: head.model,
      system_fingerprint: head.fingerprint,
      choices,
      ...more,
    });
  const usage = includeUsage ? { usage: null } : {};
  const total = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0, cached: 0 };
  let before = 0;
  for await (const { events, ...options } of prompts) {
    for await (const { choices, done } of promptParts(events, options, before)) {
      yield part(choices, { ...usage, ...(done ? reportOf(done) : {}) });
      if (!done) continue;
      const own = usageOf(done);
      total.prompt_tokens += own.prompt_tokens;
      total.completion_tokens += own.completion_tokens;
      total.total_tokens += own.total_tokens;
      total.cached += own.prompt_tokens_details.cached_tokens;
    }
    before += options.choices;
  }
  if (!includeUsage) return;
  const { cached, ...sums } = total;
  yield part([], { usage: { ...sums, prompt_tokens_details: { cached_tokens: cached } } });
}

interface Part {
  readonly choices: readonly object[];
  /** With the end of the last answer. */
  readonly done?: DoneEvent;
}

async function* promptParts(
  events: AsyncIterable<GenerationEvent>,
  { choices, logprobs, echo = "" }: CompletionOptions,
  before: number,
): AsyncGenerator<Part, void> {
  const shown = (choice: number, text: string, scored: object | null, reason: string | null) => ({
    text,
    index: before + choice,
    logprobs: scored,
    finish_reason: reason,
  });
  const all = [...Array(choices).keys()];
  const offsets = all.map(() => echo.length);
  let echoed = echo === "";
  let ending:
    | { readonly choice: number; readonly text: string; readonly reason: string }
    | undefined;
  for await (const event of events) {
    const scored = noLogprobs();
    if (event.kind === "prompt") {
      event.tokens.reduce((at, token) => addLogprob(scored, token, at), 0);
    }
    if (!echoed && event.kind !== "reading") {
      yield { choices: all.map((choice) => shown(choice, echo, logprobs ? scored : null, null)) };
      echoed = true;
    }
    if (ending) {
      const last = shown(ending.choice, ending.text, null, ending.reason);
      yield { choices: [last], ...(event.kind === "done" ? { done: event } : {}) };
      ending = undefined;
    }
    if (event.kind === "token") {
      if (logprobs) {
        offsets[event.choice] = addLogprob(scored, event, offsets[event.choice] ?? 0);
      }
      if (event.text !== "" || logprobs) {
        yield { choices: [shown(event.choice, event.text, logprobs ? scored : null, null)] };
      }
    }
    if (event.kind === "end") {
      ending = { choice: event.choice, text: event.text, reason: event.finishReason };
    }
  }
}
