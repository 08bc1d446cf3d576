import { leaving } from "../../http/leaving.ts";
import type { Services } from "../../http/services.ts";
import type { GenerationRequest } from "../../scheduler/request.ts";
import { checkBody } from "../../schemas/check.ts";
import { COMPLETION_REQUEST } from "../../schemas/completion.ts";
import { run } from "../generate.ts";
import { replyHead } from "../head.ts";
import { streamed } from "../../http/streamed.ts";
import {
  completed,
  type CompletedPrompt,
  type CompletionOptions,
  completionReply,
} from "./reply.ts";
import { completionGenerations } from "./request.ts";
import { completionStream, type StreamedPrompt } from "./stream.ts";

/** Answers `POST /v1/completions`. */
export async function completions(
  services: Services,
  body: unknown,
  left: AbortSignal,
): Promise<Response> {
  const asked = checkBody(COMPLETION_REQUEST, body);
  const requests = completionGenerations(asked, services);
  const optionsFor = async (request: GenerationRequest): Promise<CompletionOptions> => ({
    choices: request.choices ?? 1,
    logprobs: request.logprobs !== undefined,
    echo: asked.echo ? await promptText(services, request) : undefined,
  });
  const [first, ...others] = requests;
  if (!first) throw new Error("a completion has one prompt at least");
  if (asked.stream) {
    const { signal, leave } = leaving(left);
    const running = await run(services, first, signal);
    const head = replyHead(services, "cmpl", first.model);
    const prompts = async function* (): AsyncGenerator<StreamedPrompt, void> {
      yield { events: running.events, ...await optionsFor(first) };
      for (const request of others) {
        const { events } = await run(services, request, signal);
        yield { events, ...await optionsFor(request) };
      }
    };
    const includeUsage = asked.stream_options?.include_usage ?? false;
    const parts = completionStream(head, prompts(), includeUsage);
    return streamed(services, parts, { cancel: leave });
  }
  const answers = await inTurns(requests, services, left, optionsFor);
  return Response.json(completionReply(replyHead(services, "cmpl", first.model), answers));
}

/** Completes prompts, as many at once as the engine runs, so that one request cannot fill the queue. */
async function inTurns(
  requests: readonly GenerationRequest[],
  services: Services,
  left: AbortSignal,
  optionsFor: (request: GenerationRequest) => Promise<CompletionOptions>,
): Promise<readonly CompletedPrompt[]> {
  const failed = new AbortController();
  const signal = AbortSignal.any([left, failed.signal]);
  const answers: CompletedPrompt[] = [];
  const rest = requests.entries();
  const work = async () => {
    for (const [at, request] of rest) {
      const { events } = await run(services, request, signal);
      answers[at] = await completed(events, await optionsFor(request));
    }
  };
  const workers = Array.from(
    { length: Math.min(requests.length, Math.max(1, services.scheduler.stats().parallel)) },
    work,
  );
  try {
    await Promise.all(workers);
  } catch (error) {
    failed.abort(error);
    await Promise.allSettled(workers);
    throw error;
  }
  return answers;
}

async function promptText(
  { scheduler }: Services,
  { model, prompt }: GenerationRequest,
): Promise<string> {
  if (prompt.kind === "text") return prompt.text;
  return prompt.kind === "ids" ? await scheduler.detokenize(model, prompt.ids) : "";
}
