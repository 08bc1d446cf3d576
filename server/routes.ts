import type * as v from "npm:valibot@1.5.0";
import { health, metricsText } from "./http/health.ts";
import { detokenize, props, tokenize } from "./http/llama_cpp.ts";
import type { Services } from "./http/services.ts";
import { chatCompletions } from "./openai/chat/handler.ts";
import { completions } from "./openai/completions/handler.ts";
import { listModels, showModel } from "./openai/models.ts";
import { CHAT_REQUEST } from "./schemas/chat.ts";
import { COMPLETION_REQUEST } from "./schemas/completion.ts";
import { DETOKENIZE_REQUEST, TOKENIZE_REQUEST } from "./schemas/tokenize.ts";

/** What a handler gets of a request. */
export interface Asked {
  /** The parsed body, where the route has one. */
  readonly body: unknown;
  /** What stands for `:id` in the path. */
  readonly param: string;
  /** Aborts when the client leaves. */
  readonly left: AbortSignal;
}

/** A way to ask. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** `:id` stands for a part of it, `:id{.+}` for all that follows. */
  readonly path: string;
  readonly summary: string;
  /** The body's schema; the route checks it itself. */
  readonly body?: v.GenericSchema;
  /** Whether it needs no key. */
  readonly open?: boolean;
  readonly handle: (services: Services, asked: Asked) => Promise<Response | object> | object;
}

/** All routes. */
export const ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/chat/completions",
    summary: "Answers a conversation.",
    body: CHAT_REQUEST,
    handle: (services, { body, left }) => chatCompletions(services, body, left),
  },
  {
    method: "POST",
    path: "/v1/completions",
    summary: "Goes on with a text.",
    body: COMPLETION_REQUEST,
    handle: (services, { body, left }) => completions(services, body, left),
  },
  {
    method: "GET",
    path: "/v1/models",
    summary: "Lists the models.",
    handle: (services) => listModels(services),
  },
  {
    method: "GET",
    path: "/v1/models/:id{.+}",
    summary: "Shows a model.",
    handle: (services, { param }) => showModel(services, param),
  },
  {
    method: "POST",
    path: "/tokenize",
    summary: "Turns a text into tokens.",
    body: TOKENIZE_REQUEST,
    handle: (services, { body }) => tokenize(services, body),
  },
  {
    method: "POST",
    path: "/detokenize",
    summary: "Turns tokens into a text.",
    body: DETOKENIZE_REQUEST,
    handle: (services, { body }) => detokenize(services, body),
  },
  {
    method: "GET",
    path: "/props",
    summary: "Says how the server is set up.",
    handle: (services) => props(services),
  },
  {
    method: "GET",
    path: "/health",
    summary: "Says whether the server can answer.",
    open: true,
    handle: (services) => health(services),
  },
  {
    method: "GET",
    path: "/metrics",
    summary: "Counts and times for Prometheus.",
    handle: (services) => metricsText(services),
  },
];
