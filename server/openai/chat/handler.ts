import type { Services } from "../../http/services.ts";
import { checkBody } from "../../schemas/check.ts";
import { CHAT_REQUEST } from "../../schemas/chat.ts";
import { run } from "../generate.ts";
import { replyHead } from "../head.ts";
import { streamed } from "../../http/streamed.ts";
import { chatReply } from "./reply.ts";
import { chatGeneration } from "./request.ts";
import { chatStream } from "./stream.ts";

/** Answers `POST /v1/chat/completions`. */
export async function chatCompletions(
  services: Services,
  body: unknown,
  left: AbortSignal,
): Promise<Response> {
  const asked = checkBody(CHAT_REQUEST, body);
  const request = chatGeneration(asked, services);
  const { events, cancel } = await run(services, request, left);
  const head = replyHead(services, "chatcmpl", request.model);
  const options = {
    choices: request.choices ?? 1,
    tools: request.prompt.kind === "chat" && request.prompt.tools !== undefined,
    logprobs: request.logprobs !== undefined,
    newId: services.newId,
  };
  if (!asked.stream) return Response.json(await chatReply(head, events, options));
  const parts = chatStream(head, events, {
    ...options,
    includeUsage: asked.stream_options?.include_usage ?? false,
    progress: asked.return_progress ?? false,
  });
  return streamed(services, parts, { cancel });
}
