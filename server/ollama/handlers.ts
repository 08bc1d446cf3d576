import { errorReply } from "../http/error_reply.ts";
import { streamBody } from "../http/event_stream.ts";
import type { Services } from "../http/services.ts";
import { run } from "../openai/generate.ts";
import type { GenerationRequest } from "../scheduler/request.ts";
import { UnknownModelError } from "../scheduler/errors.ts";
import type { ServedModel } from "../scheduler/scheduler.ts";
import { checkBody } from "../schemas/check.ts";
import { OLLAMA_CHAT, OLLAMA_GENERATE, OLLAMA_SHOW } from "../schemas/ollama.ts";
import {
  chatPart,
  type OllamaHead,
  type OllamaOptions,
  ollamaReply,
  ollamaStream,
  promptPart,
  type ShowPart,
} from "./reply.ts";
import { modelName, ollamaChat, ollamaGenerate } from "./request.ts";

/** Answers `POST /api/chat`. */
export async function chat(
  services: Services,
  body: unknown,
  left: AbortSignal,
): Promise<Response | object> {
  const asked = checkBody(OLLAMA_CHAT, body);
  if (asked.messages.length === 0) return loaded(services, asked.model, chatPart);
  return await reply(services, ollamaChat(asked, services), left, {
    stream: asked.stream ?? true,
    show: chatPart,
    tools: (asked.tools ?? []).length > 0,
  });
}

/** Answers `POST /api/generate`. */
export async function generate(
  services: Services,
  body: unknown,
  left: AbortSignal,
): Promise<Response | object> {
  const asked = checkBody(OLLAMA_GENERATE, body);
  if (!asked.prompt) return loaded(services, asked.model, promptPart);
  return await reply(services, ollamaGenerate(asked, services), left, {
    stream: asked.stream ?? true,
    show: promptPart,
    tools: false,
  });
}

interface ReplyOptions extends Omit<OllamaOptions, "newId"> {
  readonly stream: boolean;
}

async function reply(
  services: Services,
  request: GenerationRequest,
  left: AbortSignal,
  { stream, ...shown }: ReplyOptions,
): Promise<Response | object> {
  const { events, cancel } = await run(services, request, left);
  const head = headOf(services, request.model ?? "");
  const options = { ...shown, newId: services.newId };
  if (!stream) return await ollamaReply(head, events, options);
  const lines = ollamaStream(head, events, options);
  async function* pieces(): AsyncGenerator<string, void> {
    try {
      yield* lines;
    } catch (error) {
      const { body, bug } = errorReply(error);
      if (bug) services.log(error);
      yield `${JSON.stringify({ error: body.error.message })}\n`;
    }
  }
  const body = streamBody(pieces(), {
    keepAlive: services.keepAlive,
    idle: "",
    onLeave: cancel,
  });
  return new Response(body, {
    headers: { "content-type": "application/x-ndjson", "x-accel-buffering": "no" },
  });
}

/** Asked nothing, Ollama loads the model. */
function loaded(services: Services, model: string, show: ShowPart): object {
  const { id } = find(services, model);
  return { ...headOf(services, id), ...show("", []), done: true, done_reason: "load" };
}

function headOf({ now }: Pick<Services, "now">, model: string): OllamaHead {
  return { model, created_at: new Date(now()).toISOString() };
}

function find({ scheduler }: Pick<Services, "scheduler">, asked: string): ServedModel {
  const name = modelName(asked, scheduler);
  const models = scheduler.models();
  const model = models.find(({ id }) => id === name);
  if (model) return model;
  const names = models.map(({ id }) => id).join(", ");
  throw new UnknownModelError(`model '${asked}' not found; there are ${names}`);
}

/** Answers `GET /api/tags`. */
export function tags({ scheduler }: Services) {
  return { models: scheduler.models().map(shown) };
}

/** Answers `GET /api/ps`: the models in memory. */
export function loadedModels({ scheduler }: Services) {
  return { models: scheduler.models().filter(({ loaded }) => loaded).map(shown) };
}

function shown(model: ServedModel) {
  return {
    name: model.id,
    model: model.id,
    modified_at: new Date(model.created * 1000).toISOString(),
    size: 0,
    digest: model.facts?.fingerprint ?? "",
    details: detailsOf(model),
  };
}

function detailsOf({ facts }: ServedModel) {
  const family = facts?.family ?? "";
  return {
    parent_model: "",
    format: "kvjudge",
    family,
    families: family === "" ? [] : [family],
    parameter_size: "",
    quantization_level: facts?.precision ?? "",
  };
}

/**
 * Answers `POST /api/show`.
 *
 * @throws {UnknownModelError} If there is no such model.
 */
export function show(services: Services, body: unknown) {
  const { model, name } = checkBody(OLLAMA_SHOW, body);
  const found = find(services, model ?? name ?? "");
  const { facts } = found;
  return {
    details: detailsOf(found),
    model_info: facts
      ? {
        "general.architecture": facts.family,
        [`${facts.family}.context_length`]: facts.context,
        [`${facts.family}.block_count`]: facts.layers,
        [`${facts.family}.attention.head_count_kv`]: facts.kvHeads,
      }
      : {},
    capabilities: ["completion", ...(facts?.hasChatTemplate ? ["tools"] : [])],
    modified_at: new Date(found.created * 1000).toISOString(),
  };
}
