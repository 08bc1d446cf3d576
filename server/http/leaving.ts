/** Ends work for a client that has left. */
export interface Leaving {
  /** Aborts with an `AbortError`. */
  readonly signal: AbortSignal;
  /** The client has left. */
  readonly leave: () => void;
}

/**
 * Follows whether a client has left.
 *
 * @param left Aborts when its connection ends, for whatever reason.
 */
export function leaving(left: AbortSignal): Leaving {
  const own = new AbortController();
  const leave = () => own.abort(new DOMException("The client has left", "AbortError"));
  if (left.aborted) leave();
  else left.addEventListener("abort", leave, { once: true });
  return { signal: own.signal, leave };
}

/** Whether an error says no more than that the client has left. */
export function hasLeft(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
