import nodeAssert from "node:assert/strict";
import { inspect } from "node:util";
import { AssertionError, failWith } from "./assertion_error.ts";
import { equal } from "./equal.ts";

/** A class, abstract or not, whose instances are `T`. */
type ClassOf<T> = abstract new (...args: never[]) => T;

type Falsy = false | 0 | 0n | "" | null | undefined;

/** Fails unless the value is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Fails unless the value is falsy. */
export function assertFalse(expr: unknown, msg = ""): asserts expr is Falsy {
  if (expr) throw new AssertionError(msg);
}

/** Fails unless the two are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  throw new AssertionError(
    `Values are not equal${msg ? `: ${msg}` : "."}\n${
      difference(actual, expected, "deepStrictEqual")
    }`,
  );
}

/** Fails if the two are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) {
    failWith(`Expected actual: ${inspect(actual)} not to be: ${inspect(expected)}`, msg);
  }
}

/** Fails unless the two are the same value or reference (`Object.is`). */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  throw new AssertionError(
    `Values are not strictly equal${msg ? `: ${msg}` : "."}\n${
      difference(actual, expected, "strictEqual")
    }`,
  );
}

/** Fails if the two are the same value or reference (`Object.is`). */
export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  if (Object.is(actual, expected)) {
    failWith(`Expected "actual" to not be strictly equal to: ${inspect(actual)}`, msg);
  }
}

/** Fails unless the two are within `tolerance`, by default a ten-millionth of the expected value. */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const bound = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const delta = Math.abs(expected - actual);
  if (delta <= bound) return;
  failWith(
    `Expected actual: "${actual}" to be close to "${expected}": ` +
      `delta "${delta}" is greater than "${bound}"`,
    msg,
  );
}

/** Fails if the value is `null` or `undefined`. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) {
    failWith(`Expected actual: "${actual}" to not be null or undefined`, msg);
  }
}

/** Fails unless the value is an instance of the class. */
export function assertInstanceOf<T>(
  actual: unknown,
  expectedType: ClassOf<T>,
  msg?: string,
): asserts actual is T {
  if (actual instanceof expectedType) return;
  failWith(
    `Expected object to be an instance of "${expectedType.name}" but was "${
      typeof actual === "object" && actual !== null ? actual.constructor?.name : typeof actual
    }"`,
    msg,
  );
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) throw new AssertionError(msg ?? relation(actual, ">", expected));
}

/** Fails unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) throw new AssertionError(msg ?? relation(actual, ">=", expected));
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) throw new AssertionError(msg ?? relation(actual, "<", expected));
}

/** Fails unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) throw new AssertionError(msg ?? relation(actual, "<=", expected));
}

/** Fails unless the text contains the other. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (!actual.includes(expected)) {
    failWith(`Expected actual: "${actual}" to contain: "${expected}"`, msg);
  }
}

/** Fails unless the list has every expected item, by deep equality. */
export function assertArrayIncludes<T>(
  actual: ArrayLike<T> & object,
  expected: ArrayLike<T> & object,
  msg?: string,
): void {
  const held = Array.from(actual);
  const missing = Array.from(expected).filter((item) => !held.some((other) => equal(item, other)));
  if (missing.length > 0) {
    failWith(
      `Expected actual: "${inspect(actual)}" to include: "${inspect(expected)}" ` +
        `(missing: ${inspect(missing)})`,
      msg,
    );
  }
}

/** Fails unless the pattern matches. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) failWith(`Expected actual: "${actual}" to match: "${expected}"`, msg);
}

/** Fails if the pattern matches. */
export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void {
  if (expected.test(actual)) {
    failWith(`Expected actual: "${actual}" to not match: "${expected}"`, msg);
  }
}

/** Fails always. */
export function fail(msg?: string): never {
  failWith("Failed assertion", msg);
}

/** Fails always: code that must not run. */
export function unreachable(msg?: string): never {
  failWith("Unreachable", msg);
}

function relation(actual: unknown, operator: string, expected: unknown): string {
  return `Expect ${inspect(actual)} ${operator} ${inspect(expected)}`;
}

/** Node's account of a difference, without its headline. */
function difference(actual: unknown, expected: unknown, operator: string): string {
  const { message } = new nodeAssert.AssertionError({ actual, expected, operator });
  return message.slice(message.indexOf("\n") + 1);
}
