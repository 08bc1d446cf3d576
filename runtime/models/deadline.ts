/** A time limit that can be put off. */
export interface Deadline extends Disposable {
  /** Aborts with a `TimeoutError` when time is up, or with the outer signal's reason. */
  readonly signal: AbortSignal;
  /** Starts the time again. */
  extend(milliseconds: number): void;
}

/**
 * Starts a time limit inside an outer signal.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * using deadline = startDeadline(new AbortController().signal, 1000);
 * assertEquals(deadline.signal.aborted, false);
 * ```
 */
export function startDeadline(outer: AbortSignal, milliseconds: number): Deadline {
  const inner = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const extend = (limit: number) => {
    clearTimeout(timer);
    timer = setTimeout(
      () => inner.abort(new DOMException(`No answer for ${limit} ms`, "TimeoutError")),
      limit,
    );
  };
  extend(milliseconds);
  return {
    signal: AbortSignal.any([outer, inner.signal]),
    extend,
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
