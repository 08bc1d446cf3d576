import { serverSentEvent } from "../../http/event_stream.ts";
import type { Services } from "../../http/services.ts";
import { streamed } from "../../http/streamed.ts";
import type { GenerationEvent } from "../../scheduler/events.ts";
import { checkBody } from "../../schemas/check.ts";
import { RESPONSES_REQUEST, type ResponsesRequest } from "../../schemas/responses.ts";
import { run } from "../generate.ts";
import { type ReplyHead, replyHead } from "../head.ts";
import { messageItem, responseObject, textPart, type WrittenText } from "./reply.ts";
import { responseGeneration } from "./request.ts";

/** Answers `POST /v1/responses`. */
export async function responses(
  services: Services,
  body: unknown,
  left: AbortSignal,
): Promise<Response | object> {
  const asked = checkBody(RESPONSES_REQUEST, body);
  const request = responseGeneration(asked, services);
  const { events, cancel } = await run(services, request, left);
  const head = replyHead(services, "resp", request.model);
  const itemId = `msg_${services.newId()}`;
  if (!asked.stream) {
    return responseObject(head, asked, await wholeText(itemId, events));
  }
  return streamed(services, parts(head, asked, itemId, events), {
    cancel,
    end: "",
    failed: ({ error: { message, code } }) =>
      serverSentEvent({ type: "error", code, message, param: null }, "error"),
  });
}

async function wholeText(
  itemId: string,
  events: AsyncIterable<GenerationEvent>,
): Promise<WrittenText> {
  let text = "";
  let finishReason: "stop" | "length" = "stop";
  for await (const event of events) {
    if (event.kind === "token" || event.kind === "end") text += event.text;
    if (event.kind === "end") finishReason = event.finishReason;
    if (event.kind === "done") return { itemId, text, finishReason, done: event };
  }
  throw new Error("the scheduler ended a request without saying so");
}

async function* parts(
  head: ReplyHead,
  asked: ResponsesRequest,
  itemId: string,
  events: AsyncIterable<GenerationEvent>,
): AsyncGenerator<string, void> {
  let number = 0;
  const event = (type: string, data: object) =>
    serverSentEvent({ type, sequence_number: number++, ...data }, type);
  const place = { item_id: itemId, output_index: 0, content_index: 0 };
  yield event("response.created", { response: responseObject(head, asked) });
  yield event("response.in_progress", { response: responseObject(head, asked) });
  yield event("response.output_item.added", {
    output_index: 0,
    item: messageItem(itemId, undefined, "in_progress"),
  });
  yield event("response.content_part.added", { ...place, part: textPart("") });
  let text = "";
  let finishReason: "stop" | "length" = "stop";
  for await (const one of events) {
    if (one.kind === "token" || one.kind === "end") {
      text += one.text;
      if (one.text !== "") {
        yield event("response.output_text.delta", { ...place, delta: one.text, logprobs: [] });
      }
    }
    if (one.kind === "end") finishReason = one.finishReason;
    if (one.kind !== "done") continue;
    const written = { itemId, text, finishReason, done: one };
    const whole = responseObject(head, asked, written);
    yield event("response.output_text.done", { ...place, text, logprobs: [] });
    yield event("response.content_part.done", { ...place, part: textPart(text) });
    yield event("response.output_item.done", { output_index: 0, item: whole.output[0] });
    const end = finishReason === "length" ? "response.incomplete" : "response.completed";
    yield event(end, { response: whole });
  }
}
