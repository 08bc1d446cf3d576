import { OptionError } from "../../policies/policy.ts";
import {
  BudgetError,
  ConstraintError,
  EvidenceError,
  KvjudgeError,
  PolicyError,
  PromptError,
  StorageError,
} from "../../runtime/errors.ts";
import {
  ContextOverflowError,
  EngineError,
  GrammarError,
  ModelLoadError,
  OverloadedError,
  RequestTimeoutError,
  StoppingError,
  UnknownDocumentError,
  UnknownModelError,
} from "../scheduler/errors.ts";
import { hasLeft } from "./leaving.ts";
import { InvalidRequestError } from "./request_error.ts";

/** The body of an error, in OpenAI's form. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
    /** Where a prompt is too long, as llama.cpp says it. */
    readonly n_prompt_tokens?: number;
    readonly n_ctx?: number;
  };
}

/** A reply to what failed. */
export interface ErrorReply {
  readonly status: number;
  readonly body: ErrorBody;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether it is the server's fault: to be logged, and nothing of it told. */
  readonly bug: boolean;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly param?: string | null;
  readonly code?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Status where a client left before there was an answer; only the metrics see it. */
const CLIENT_LEFT = { status: 499, type: "client_left", code: "client_left" };
const INVALID = { status: 400, type: "invalid_request_error" };
/** The openai SDK sends a request again unless it is told not to. */
const NO_RETRY = { "x-should-retry": "false" };
/** Seconds after which a server that ends has probably been replaced. */
const RESTART = 5;

/**
 * What is said of an error: its own sentence where the request is at fault, and nothing of what lies
 * inside where the server is.
 */
export function errorReply(error: unknown): ErrorReply {
  const answer = answerTo(error);
  if (!answer || !(error instanceof Error)) return internalError();
  const { status, type, param = null, code = null, headers = {} } = answer;
  const overflow = error instanceof ContextOverflowError
    ? { n_prompt_tokens: error.promptTokens, n_ctx: error.context }
    : {};
  return {
    status,
    body: { error: { message: error.message, type, param, code, ...overflow } },
    headers,
    bug: false,
  };
}

function internalError(): ErrorReply {
  const message = "The server failed; its log says more";
  return {
    status: 500,
    body: { error: { message, type: "server_error", param: null, code: "internal_error" } },
    headers: {},
    bug: true,
  };
}

function answerTo(error: unknown): Answer | undefined {
  if (hasLeft(error)) return CLIENT_LEFT;
  if (error instanceof InvalidRequestError) return { ...INVALID, ...error.problem };
  return busy(error) ?? unknown(error) ?? badSetting(error);
}

function busy(error: unknown): Answer | undefined {
  if (error instanceof OverloadedError) {
    return unavailable("overloaded", Math.max(1, Math.ceil(error.retryAfter)));
  }
  if (error instanceof StoppingError) return unavailable("stopping", RESTART);
  if (error instanceof EngineError) return unavailable("engine_restarting", 1);
  if (error instanceof RequestTimeoutError) {
    return { status: 504, type: "timeout_error", code: "timeout", headers: NO_RETRY };
  }
  if (error instanceof StorageError) {
    return { status: 507, type: "server_error", code: "storage_error", headers: NO_RETRY };
  }
  if (error instanceof ModelLoadError) {
    return { status: 500, type: "server_error", code: "model_load_error", headers: NO_RETRY };
  }
}

function unavailable(code: string, seconds: number): Answer {
  return {
    status: 503,
    type: "unavailable_error",
    code,
    headers: { "retry-after": String(seconds) },
  };
}

function unknown(error: unknown): Answer | undefined {
  if (error instanceof UnknownModelError) {
    return { ...INVALID, status: 404, param: "model", code: "model_not_found" };
  }
  if (error instanceof UnknownDocumentError) {
    return { ...INVALID, status: 404, param: "document", code: "document_not_found" };
  }
}

function badSetting(error: unknown): Answer | undefined {
  if (error instanceof ContextOverflowError) {
    return { status: 400, type: "exceed_context_size_error", code: "context_length_exceeded" };
  }
  if (error instanceof GrammarError || error instanceof ConstraintError) {
    return { ...INVALID, param: "response_format", code: "invalid_schema" };
  }
  if (
    error instanceof OptionError || error instanceof PolicyError || error instanceof EvidenceError
  ) {
    return { ...INVALID, param: "eviction.policy", code: "invalid_policy" };
  }
  if (error instanceof BudgetError) {
    return { ...INVALID, param: "eviction.budget", code: "invalid_budget" };
  }
  if (error instanceof PromptError) return { ...INVALID, code: "invalid_prompt" };
  if (error instanceof KvjudgeError) return { status: 500, type: "server_error" };
}
