import { stripVTControlCharacters } from "node:util";
import { failWith } from "./assertion_error.ts";

type ClassOf<T> = abstract new (...args: never[]) => T;

/** Fails unless the value is an `Error`, of the class if one is given, with the text in its message. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  ErrorClass?: ClassOf<E>,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  if (!(error instanceof Error)) failWith('Expected "error" to be an Error object', msg);
  if (ErrorClass && !(error instanceof ErrorClass)) {
    failWith(
      `Expected error to be instance of "${ErrorClass.name}", but was "${error.constructor.name}"`,
      msg,
    );
  }
  const message = stripVTControlCharacters(error.message);
  const matches = msgMatches instanceof RegExp
    ? msgMatches.test(message)
    : message.includes(stripVTControlCharacters(msgMatches ?? ""));
  if (!matches) {
    failWith(
      `Expected error message to include ${
        msgMatches instanceof RegExp ? msgMatches : JSON.stringify(msgMatches)
      }, but got ${JSON.stringify(error.message)}`,
      msg,
    );
  }
}

/** Fails unless the function throws; returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Fails unless the function throws an error of the class, with the text in its message. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ClassOf<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error>(
  fn: () => unknown,
  classOrMsg?: ClassOf<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const expectation = expected(classOrMsg, msgIncludes, msg);
  try {
    fn();
  } catch (error) {
    return check(error, "A non-Error object was thrown", expectation);
  }
  return failWith("Expected function to throw", expectation.msg);
}

/** Fails unless the function's promise rejects; resolves to what it rejected with. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Fails unless the promise rejects with an error of the class, with the text in its message. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ClassOf<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ClassOf<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const expectation = expected(classOrMsg, msgIncludes, msg);
  let promise: PromiseLike<unknown> | undefined;
  try {
    promise = fn();
  } catch {
    promise = undefined;
  }
  if (typeof promise?.then !== "function") {
    failWith("Function throws when expected to reject", expectation.msg);
  }
  try {
    await promise;
  } catch (error) {
    return check(error, "A non-Error object was rejected", expectation);
  }
  return failWith("Expected function to reject", expectation.msg);
}

interface Expectation<E extends Error> {
  readonly ErrorClass?: ClassOf<E> | undefined;
  readonly msgIncludes?: string | undefined;
  readonly msg?: string | undefined;
}

function expected<E extends Error>(
  classOrMsg: ClassOf<E> | string | undefined,
  msgIncludes: string | undefined,
  msg: string | undefined,
): Expectation<E> {
  return typeof classOrMsg === "string"
    ? { msg: classOrMsg }
    : { ErrorClass: classOrMsg, msgIncludes, msg };
}

function check<E extends Error>(
  error: unknown,
  reason: string,
  { ErrorClass, msgIncludes, msg }: Expectation<E>,
): unknown {
  if (!ErrorClass) return error;
  if (!(error instanceof Error)) failWith(reason, msg);
  assertIsError(error, ErrorClass, msgIncludes, msg);
  return error;
}
