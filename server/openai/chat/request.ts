import { InvalidRequestError } from "../../http/request_error.ts";
import type { Services } from "../../http/services.ts";
import { evictionOf } from "../../policies/eviction.ts";
import { chatTurns } from "../../prompt/messages.ts";
import type { Grammar, ToolDefinition } from "../../scheduler/grammar.ts";
import type { GenerationRequest } from "../../scheduler/request.ts";
import type { ChatRequest } from "../../schemas/chat.ts";
import { present } from "../../schemas/fields.ts";
import { samplingOf, stopTexts } from "../sampling.ts";

type Config = Pick<Services, "eviction" | "permit" | "newSeed">;

/**
 * What a chat asks the scheduler for.
 *
 * @throws {InvalidRequestError} If its fields do not go together.
 */
export function chatGeneration(body: ChatRequest, config: Config): GenerationRequest {
  const tools = toolsOf(body);
  const grammar = grammarOf(body, tools);
  if (!body.logprobs && body.top_logprobs) {
    throw new InvalidRequestError(
      'Invalid request: "top_logprobs" wants "logprobs" to be true',
      { param: "top_logprobs", code: "invalid_value" },
    );
  }
  return {
    prompt: {
      kind: "chat",
      messages: chatTurns(body.messages),
      ...(tools.length > 0 ? { tools } : {}),
      ...present({ variables: body.chat_template_kwargs }),
    },
    eviction: evictionOf(body.eviction, config.eviction, config.permit),
    sampling: samplingOf(body, config.newSeed),
    choices: body.n ?? 1,
    stop: stopTexts(body.stop),
    ...present({
      model: body.model,
      document: body.document,
      maxTokens: body.max_completion_tokens ?? body.max_tokens,
      grammar,
      logprobs: body.logprobs ? body.top_logprobs ?? 0 : undefined,
      explain: body.explain,
      timeout: body.timeout ? body.timeout * 1000 : undefined,
    }),
  };
}

/** The tools that may be called. */
function toolsOf({ tools, tool_choice }: ChatRequest): readonly ToolDefinition[] {
  if (!tools || tools.length === 0) {
    if (tool_choice === "required" || typeof tool_choice === "object" && tool_choice) {
      throw new InvalidRequestError('Invalid request: "tool_choice" wants "tools"', {
        param: "tool_choice",
        code: "invalid_value",
      });
    }
    return [];
  }
  if (tool_choice === "none") return [];
  const all = tools.map(({ function: { name, ...details } }) => ({
    name,
    ...present({
      description: details.description,
      parameters: details.parameters,
      strict: details.strict,
    }),
  }));
  if (typeof tool_choice !== "object" || !tool_choice) return all;
  const wanted = tool_choice.function.name;
  const chosen = all.filter(({ name }) => name === wanted);
  if (chosen.length > 0) return chosen;
  throw new InvalidRequestError(
    `Invalid request: "tool_choice" names '${wanted}', which is not among "tools"`,
    { param: "tool_choice", code: "invalid_value" },
  );
}

function grammarOf(body: ChatRequest, tools: readonly ToolDefinition[]): Grammar | undefined {
  const { response_format: format, tool_choice: choice } = body;
  const formatted = formatGrammar(format);
  if (tools.length === 0) return formatted;
  if (formatted) {
    throw new InvalidRequestError(
      'Invalid request: "response_format" and "tools" cannot both be asked for: leave one out, or ' +
        'give "tool_choice": "none"',
      { param: "response_format", code: "invalid_value" },
    );
  }
  const required = choice === "required" || typeof choice === "object" && choice !== null;
  return { kind: "tools", tools, required, parallel: body.parallel_tool_calls ?? true };
}

/** The grammar of a `response_format`. */
export function formatGrammar(format: ChatRequest["response_format"]): Grammar | undefined {
  if (format?.type === "json_object") return { kind: "json_object" };
  if (format?.type !== "json_schema") return undefined;
  const { schema } = format.json_schema;
  return schema === undefined || schema === null
    ? { kind: "json_object" }
    : { kind: "json_schema", schema };
}
