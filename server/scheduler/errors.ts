import { KvjudgeError } from "../../runtime/errors.ts";

/** Too many requests wait already. */
export class OverloadedError extends KvjudgeError {
  /** Always `"OverloadedError"`. */
  override readonly name = "OverloadedError";
  /** @param retryAfter Seconds after which there may be room. */
  constructor(message: string, readonly retryAfter: number) {
    super(message);
  }
}

/** The server is about to end. */
export class StoppingError extends KvjudgeError {
  /** Always `"StoppingError"`. */
  override readonly name = "StoppingError";
}

/** A prompt, or a prompt and its answer, passes the model's context. */
export class ContextOverflowError extends KvjudgeError {
  /** Always `"ContextOverflowError"`. */
  override readonly name = "ContextOverflowError";
  /** @param promptTokens Tokens of the prompt. @param context Tokens that the model's context has. */
  constructor(message: string, readonly promptTokens: number, readonly context: number) {
    super(message);
  }
}

/** No model of this name is served. */
export class UnknownModelError extends KvjudgeError {
  /** Always `"UnknownModelError"`. */
  override readonly name = "UnknownModelError";
}

/** A model cannot be loaded. */
export class ModelLoadError extends KvjudgeError {
  /** Always `"ModelLoadError"`. */
  override readonly name = "ModelLoadError";
}

/** No document has this id. */
export class UnknownDocumentError extends KvjudgeError {
  /** Always `"UnknownDocumentError"`. */
  override readonly name = "UnknownDocumentError";
}

/** A request took longer than it may. */
export class RequestTimeoutError extends KvjudgeError {
  /** Always `"RequestTimeoutError"`. */
  override readonly name = "RequestTimeoutError";
}

/** What an answer must be cannot be made into a grammar. */
export class GrammarError extends KvjudgeError {
  /** Always `"GrammarError"`. */
  override readonly name = "GrammarError";
}

/** The process that runs the models has died. */
export class EngineError extends KvjudgeError {
  /** Always `"EngineError"`. */
  override readonly name = "EngineError";
}
