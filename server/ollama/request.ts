import type { Services } from "../http/services.ts";
import { samplingOf, stopTexts } from "../openai/sampling.ts";
import { evictionOf } from "../policies/eviction.ts";
import type { ChatTurn } from "../prompt/chat_prompt.ts";
import type { Grammar } from "../scheduler/grammar.ts";
import type { GenerationRequest, RequestPrompt } from "../scheduler/request.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import { present } from "../schemas/fields.ts";
import type { OllamaChat, OllamaFields, OllamaGenerate } from "../schemas/ollama.ts";

type Config = Pick<Services, "eviction" | "permit" | "newSeed" | "scheduler">;

/** Ollama's own, where a request gives none. */
const DEFAULTS = { temperature: 0.8, top_k: 40, top_p: 0.9 };

/** What a chat asks the scheduler for. */
export function ollamaChat(body: OllamaChat, config: Config): GenerationRequest {
  const tools = (body.tools ?? []).map(({ function: { name, ...details } }) => ({
    name,
    ...present({ description: details.description, parameters: details.parameters }),
  }));
  const grammar = formatGrammar(body.format) ??
    (tools.length > 0
      ? { kind: "tools" as const, tools, required: false, parallel: true }
      : undefined);
  const messages = body.messages.map(({ role, content, tool_calls }, at): ChatTurn => ({
    role,
    content: content ?? "",
    ...(tool_calls && tool_calls.length > 0
      ? {
        toolCalls: tool_calls.map(({ function: { name, arguments: given } }, call) => ({
          id: `call_${at}_${call}`,
          name,
          arguments: JSON.stringify(given ?? {}),
        })),
      }
      : {}),
  }));
  const prompt = { kind: "chat" as const, messages, ...(tools.length > 0 ? { tools } : {}) };
  return generation(body, prompt, config, grammar);
}

/** What a prompt asks the scheduler for: raw as it is, otherwise as a message. */
export function ollamaGenerate(body: OllamaGenerate, config: Config): GenerationRequest {
  const { prompt = "", system, raw } = body;
  const text = prompt ?? "";
  const opening: ChatTurn[] = system ? [{ role: "system", content: system }] : [];
  const asked: RequestPrompt = raw
    // Whoever says raw writes the template's control tokens himself.
    ? { kind: "text", text, special: true }
    : { kind: "chat", messages: [...opening, { role: "user", content: text }] };
  return generation(body, asked, config, formatGrammar(body.format));
}

function generation(
  body: OllamaFields,
  prompt: RequestPrompt,
  config: Config,
  grammar: Grammar | undefined,
): GenerationRequest {
  const { options } = body;
  const most = options?.num_predict;
  return {
    prompt,
    model: modelName(body.model, config.scheduler),
    eviction: evictionOf(body.eviction, config.eviction, config.permit),
    sampling: samplingOf({
      ...DEFAULTS,
      ...present(options ?? {}),
      repetition_penalty: options?.repeat_penalty,
    }, config.newSeed),
    stop: stopTexts(options?.stop),
    ...present({
      document: body.document,
      maxTokens: most && most > 0 ? most : undefined,
      grammar,
      timeout: body.timeout ? body.timeout * 1000 : undefined,
    }),
  };
}

function formatGrammar(format: OllamaChat["format"]): Grammar | undefined {
  if (format === "json") return { kind: "json_object" };
  return format ? { kind: "json_schema", schema: format } : undefined;
}

/** Ollama's clients may name a model's tag, which means nothing here. */
export function modelName(asked: string, scheduler: Pick<Scheduler, "models">): string {
  const known = scheduler.models().some(({ id }) => id === asked);
  return known ? asked : asked.replace(/:latest$/, "");
}
