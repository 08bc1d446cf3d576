import { InvalidRequestError } from "../../http/request_error.ts";
import type { Services } from "../../http/services.ts";
import { evictionOf } from "../../policies/eviction.ts";
import type { GenerationRequest, RequestPrompt } from "../../scheduler/request.ts";
import type { CompletionRequest } from "../../schemas/completion.ts";
import { present } from "../../schemas/fields.ts";
import { samplingOf, stopTexts } from "../sampling.ts";

type Config = Pick<Services, "eviction" | "permit" | "newSeed">;

/** OpenAI's, where a request gives none. */
const MAX_TOKENS = 16;
/** Prompts of one request. */
const MOST_PROMPTS = 128;

/**
 * What a completion asks the scheduler for: a request for each of its prompts.
 *
 * @throws {InvalidRequestError} If its fields do not go together.
 */
export function completionGenerations(
  body: CompletionRequest,
  config: Config,
): readonly GenerationRequest[] {
  checkFields(body);
  const { echo, logprobs } = body;
  const scored = logprobs !== null && logprobs !== undefined;
  const shared = {
    eviction: evictionOf(body.eviction, config.eviction, config.permit),
    sampling: samplingOf(body, config.newSeed),
    choices: body.n ?? 1,
    maxTokens: body.max_tokens ?? MAX_TOKENS,
    stop: stopTexts(body.stop),
    ...present({
      model: body.model,
      document: body.document,
      logprobs,
      promptLogprobs: echo && scored ? true : undefined,
      explain: body.explain,
      timeout: body.timeout ? body.timeout * 1000 : undefined,
    }),
  };
  return promptsOf(body).map((prompt) => ({ ...shared, prompt }));
}

function checkFields({ suffix, best_of, n, max_tokens, echo }: CompletionRequest): void {
  if (suffix) {
    throw new InvalidRequestError(
      'Cannot fill in a text before "suffix": the models here only write on; leave it out',
      { param: "suffix", code: "unsupported_value" },
    );
  }
  if (best_of && best_of > (n ?? 1)) {
    throw new InvalidRequestError(
      'Cannot choose among answers: "best_of" must not be above "n"; ask for more answers instead',
      { param: "best_of", code: "unsupported_value" },
    );
  }
  if (max_tokens === 0 && !echo) {
    throw new InvalidRequestError(
      'Invalid request: "max_tokens" must be at least 1 without "echo", got 0',
      { param: "max_tokens", code: "invalid_value" },
    );
  }
}

function promptsOf({ prompt, parse_special }: CompletionRequest): readonly RequestPrompt[] {
  const text = (one: string): RequestPrompt => ({
    kind: "text",
    text: one,
    special: parse_special ?? false,
  });
  if (typeof prompt === "string") return [text(prompt)];
  if (prompt.length === 0 || prompt.length > MOST_PROMPTS && typeof prompt[0] !== "number") {
    throw new InvalidRequestError(
      `Invalid request: "prompt" must have from 1 to ${MOST_PROMPTS} prompts, got ${prompt.length}`,
      { param: "prompt", code: "invalid_value" },
    );
  }
  const ids: number[] = [];
  const prompts: RequestPrompt[] = [];
  for (const one of prompt) {
    if (typeof one === "string") prompts.push(text(one));
    else if (typeof one === "number") ids.push(one);
    else prompts.push({ kind: "ids", ids: one });
  }
  return ids.length > 0 ? [{ kind: "ids", ids }] : prompts;
}
