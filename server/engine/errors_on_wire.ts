import { OptionError } from "../../policies/policy.ts";
import {
  BudgetError,
  CheckpointError,
  DeviceError,
  EvidenceError,
  FetchError,
  KvjudgeError,
  PolicyError,
  PromptError,
  SavedCacheError,
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

/** An error as it travels between processes. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  /** Numbers of those that have some. */
  readonly numbers?: readonly number[];
  /** Where it is a mistake of the program. */
  readonly stack?: string;
}

const CLASSES = {
  OptionError,
  BudgetError,
  CheckpointError,
  DeviceError,
  EngineError,
  EvidenceError,
  FetchError,
  GrammarError,
  KvjudgeError,
  ModelLoadError,
  PolicyError,
  PromptError,
  RequestTimeoutError,
  SavedCacheError,
  StoppingError,
  StorageError,
  UnknownDocumentError,
  UnknownModelError,
} as const;

/** An error to be sent. */
export function wireError(error: unknown): WireError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { name, message } = error;
  if (error instanceof OverloadedError) return { name, message, numbers: [error.retryAfter] };
  if (error instanceof ContextOverflowError) {
    return { name, message, numbers: [error.promptTokens, error.context] };
  }
  if (error instanceof KvjudgeError || error instanceof OptionError) return { name, message };
  return { name, message, ...(error.stack === undefined ? {} : { stack: error.stack }) };
}

/** An error that was received, of the class that it had. */
export function errorOf({ name, message, numbers = [], stack }: WireError): Error {
  const [first = 0, second = 0] = numbers;
  if (name === "OverloadedError") return new OverloadedError(message, first);
  if (name === "ContextOverflowError") return new ContextOverflowError(message, first, second);
  const known = Object.entries(CLASSES).find(([one]) => one === name)?.[1];
  if (known) return new known(message);
  if (name === "AbortError" || name === "TimeoutError") return new DOMException(message, name);
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
