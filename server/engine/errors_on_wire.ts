import { OptionError } from "../../policies/policy.ts";
import * as library from "../../runtime/errors.ts";
import * as scheduling from "../scheduler/errors.ts";

/** An error as it travels between processes. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  /** Numbers of those that have some. */
  readonly numbers?: readonly number[];
  /** Where it is a mistake of the program. */
  readonly stack?: string;
}

const { KvjudgeError } = library;
const { OverloadedError, ContextOverflowError, ...plain } = scheduling;

/** All that are made of a message alone, by their names. */
const CLASSES: ReadonlyMap<string, new (message: string) => Error> = new Map(
  Object.entries({ OptionError, ...library, ...plain }),
);

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
  const known = CLASSES.get(name);
  if (known) return new known(message);
  if (name === "AbortError" || name === "TimeoutError") return new DOMException(message, name);
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
