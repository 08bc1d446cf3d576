import { InvalidRequestError } from "../../http/request_error.ts";
import type { Services } from "../../http/services.ts";
import { evictionOf } from "../../policies/eviction.ts";
import { chatTurns } from "../../prompt/messages.ts";
import type { GenerationRequest } from "../../scheduler/request.ts";
import { present } from "../../schemas/fields.ts";
import type { ResponsesRequest } from "../../schemas/responses.ts";
import { samplingOf } from "../sampling.ts";

type Config = Pick<Services, "eviction" | "permit" | "newSeed">;

/**
 * What a request for a response asks the scheduler for.
 *
 * @throws {InvalidRequestError} If it wants what this server has not: state, or tools.
 */
export function responseGeneration(body: ResponsesRequest, config: Config): GenerationRequest {
  if (body.previous_response_id) {
    throw unsupported(
      "previous_response_id",
      "this server remembers no responses: send all messages",
    );
  }
  if (body.tools && body.tools.length > 0) {
    throw unsupported("tools", "tools are served by /v1/chat/completions");
  }
  const { input, instructions } = body;
  const messages = typeof input === "string" ? [{ role: "user" as const, content: input }] : input;
  const opening = instructions ? [{ role: "system" as const, content: instructions }] : [];
  const format = body.text?.format;
  return {
    prompt: { kind: "chat", messages: chatTurns([...opening, ...messages]) },
    eviction: evictionOf(body.eviction, config.eviction, config.permit),
    sampling: samplingOf(body, config.newSeed),
    ...present({
      model: body.model,
      document: body.document,
      maxTokens: body.max_output_tokens,
      explain: body.explain,
      timeout: body.timeout ? body.timeout * 1000 : undefined,
      grammar: format?.type === "json_object"
        ? { kind: "json_object" as const }
        : format?.type === "json_schema"
        ? { kind: "json_schema" as const, schema: format.schema }
        : undefined,
    }),
  };
}

function unsupported(param: string, why: string): InvalidRequestError {
  return new InvalidRequestError(`Cannot use "${param}": ${why}`, {
    param,
    code: "unsupported_value",
  });
}
