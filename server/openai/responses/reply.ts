import type { DoneEvent } from "../../scheduler/events.ts";
import { present } from "../../schemas/fields.ts";
import type { ResponsesRequest } from "../../schemas/responses.ts";
import type { ReplyHead } from "../head.ts";
import { reportOf, usageOf } from "../report.ts";

/** A text that was written, and how. */
export interface WrittenText {
  readonly itemId: string;
  readonly text: string;
  readonly finishReason: "stop" | "length";
  readonly done: DoneEvent;
}

/** The message of a response, as an item of its output. */
export function messageItem(
  id: string,
  text: string | undefined,
  status: "in_progress" | "completed" | "incomplete",
) {
  return {
    id,
    type: "message",
    status,
    role: "assistant",
    content: text === undefined ? [] : [textPart(text)],
  };
}

/** A part of a message. */
export function textPart(text: string) {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

/** A response: whole where a text was written, else one that has just begun. */
export function responseObject(head: ReplyHead, asked: ResponsesRequest, written?: WrittenText) {
  const cut = written?.finishReason === "length";
  const status = !written ? "in_progress" : cut ? "incomplete" : "completed";
  return {
    id: head.id,
    object: "response",
    created_at: head.created,
    status,
    error: null,
    incomplete_details: cut ? { reason: "max_output_tokens" } : null,
    instructions: asked.instructions ?? null,
    max_output_tokens: asked.max_output_tokens ?? null,
    model: head.model,
    output: written
      ? [messageItem(written.itemId, written.text, cut ? "incomplete" : "completed")]
      : [],
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: asked.temperature ?? 1,
    text: { format: asked.text?.format ?? { type: "text" } },
    tool_choice: "auto",
    tools: [],
    top_p: asked.top_p ?? 1,
    truncation: "disabled",
    usage: written ? responseUsage(written.done) : null,
    metadata: asked.metadata ?? {},
    ...present(written ? reportOf(written.done) : {}),
  };
}

function responseUsage(done: DoneEvent) {
  const { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details } = usageOf(done);
  return {
    input_tokens: prompt_tokens,
    input_tokens_details: prompt_tokens_details,
    output_tokens: completion_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens,
  };
}
