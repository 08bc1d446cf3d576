import { RequestTimeoutError } from "./errors.ts";

/** A signal that ends after some time, or with others. */
export interface TimeLimit extends Disposable {
  readonly signal: AbortSignal;
}

/** Ends with the first of some signals, or with a `RequestTimeoutError` after some milliseconds. */
export function timeLimit(milliseconds: number, signals: readonly AbortSignal[]): TimeLimit {
  const late = new AbortController();
  const timer = setTimeout(
    () =>
      late.abort(
        new RequestTimeoutError(
          `The request took longer than ${milliseconds / 1000} seconds: ask for fewer tokens, or ` +
            "give it more time",
        ),
      ),
    Math.min(milliseconds, 2 ** 31 - 1),
  );
  return {
    signal: AbortSignal.any([...signals, late.signal]),
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
