import {
  createDocument,
  documentTokens,
  listDocuments,
  removeDocument,
  showDocument,
} from "./documents/handlers.ts";
import { health, metricsText } from "./http/health.ts";
import { detokenize, props, tokenize } from "./http/llama_cpp.ts";
import * as ollama from "./ollama/handlers.ts";
import { openApi } from "./openapi.ts";
import { chatCompletions } from "./openai/chat/handler.ts";
import { completions } from "./openai/completions/handler.ts";
import { listModels, showModel } from "./openai/models.ts";
import { responses } from "./openai/responses/handler.ts";
import { page, pageScript, pageStyle } from "./page/page.ts";
import type { Route } from "./route.ts";
import { CHAT_REQUEST } from "./schemas/chat.ts";
import { COMPLETION_REQUEST } from "./schemas/completion.ts";
import { DOCUMENT_REQUEST } from "./schemas/document.ts";
import { OLLAMA_CHAT, OLLAMA_GENERATE, OLLAMA_SHOW } from "./schemas/ollama.ts";
import { RESPONSES_REQUEST } from "./schemas/responses.ts";
import { DETOKENIZE_REQUEST, TOKENIZE_REQUEST } from "./schemas/tokenize.ts";

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
  {
    method: "POST",
    path: "/v1/responses",
    summary: "Answers in the form of OpenAI's responses, text only.",
    body: RESPONSES_REQUEST,
    handle: (services, { body, left }) => responses(services, body, left),
  },
  {
    method: "POST",
    path: "/v1/documents",
    summary: "Reads and compresses a document once.",
    body: DOCUMENT_REQUEST,
    handle: (services, { body, left }) => createDocument(services, body, left),
  },
  {
    method: "GET",
    path: "/v1/documents",
    summary: "Lists the documents.",
    handle: (services) => listDocuments(services),
  },
  {
    method: "GET",
    path: "/v1/documents/:id",
    summary: "Shows a document.",
    handle: (services, { param }) => showDocument(services, param),
  },
  {
    method: "GET",
    path: "/v1/documents/:id/tokens",
    summary: "Says of each token of a document which share of the heads kept it.",
    handle: (services, { param }) => documentTokens(services, param),
  },
  {
    method: "DELETE",
    path: "/v1/documents/:id",
    summary: "Forgets a document.",
    handle: (services, { param }) => removeDocument(services, param),
  },
  {
    method: "POST",
    path: "/api/chat",
    summary: "Answers a conversation in Ollama's form.",
    body: OLLAMA_CHAT,
    handle: (services, { body, left }) => ollama.chat(services, body, left),
  },
  {
    method: "POST",
    path: "/api/generate",
    summary: "Answers a prompt in Ollama's form.",
    body: OLLAMA_GENERATE,
    handle: (services, { body, left }) => ollama.generate(services, body, left),
  },
  {
    method: "GET",
    path: "/api/tags",
    summary: "Lists the models in Ollama's form.",
    handle: (services) => ollama.tags(services),
  },
  {
    method: "GET",
    path: "/api/ps",
    summary: "Lists the models in memory in Ollama's form.",
    handle: (services) => ollama.loadedModels(services),
  },
  {
    method: "POST",
    path: "/api/show",
    summary: "Shows a model in Ollama's form.",
    body: OLLAMA_SHOW,
    handle: (services, { body }) => ollama.show(services, body),
  },
  {
    method: "GET",
    path: "/api/version",
    summary: "Says which version runs.",
    handle: ({ version }) => ({ version }),
  },
  {
    method: "GET",
    path: "/",
    summary: "A page to chat with.",
    open: true,
    handle: () => page(),
  },
  {
    method: "GET",
    path: "/page.js",
    summary: "The page's script.",
    open: true,
    handle: () => pageScript(),
  },
  {
    method: "GET",
    path: "/page.css",
    summary: "The page's style sheet.",
    open: true,
    handle: () => pageStyle(),
  },
  {
    method: "GET",
    path: "/openapi.json",
    summary: "Describes all of this.",
    open: true,
    handle: ({ version }) => openApi(ROUTES, version),
  },
];
