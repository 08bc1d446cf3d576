import { PromptError } from "../errors.ts";

/** One thing that a session does, such as reading a prompt or making an answer. */
export interface Turn {
  /** Aborts when another turn begins or the session is closed. */
  readonly signal: AbortSignal;
  /**
   * Runs a part of the turn while nothing else runs.
   *
   * @throws {PromptError} If the turn is over.
   */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/** Lets one thing at a time work on the cache of a session. */
export interface Turns {
  /**
   * Begins a turn and ends the one before.
   *
   * @param action What is refused once the session is closed: "read a prompt".
   */
  begin(action: string): Turn;
  /** Runs something beside the turn, between two of its steps. */
  between<T>(action: string, work: () => Promise<T>): Promise<T>;
  /** Ends the turn for good; returns when nothing runs any more. */
  close(): Promise<void>;
}

const CLOSED = "the session is closed; open another one";

/** Makes the turns of a session. */
export function createTurns(): Turns {
  let current = new AbortController();
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;
  const checkOpen = (action: string) => {
    if (closed) throw new PromptError(`Cannot ${action}: ${CLOSED}`);
  };
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
  return {
    begin(action) {
      checkOpen(action);
      current.abort(
        new PromptError(
          "Cannot go on: the session has begun to read or answer something else; use one session " +
            "for each answer that is made at the same time",
        ),
      );
      const { signal } = current = new AbortController();
      return {
        signal,
        run: (work) =>
          alone(async () => {
            signal.throwIfAborted();
            return await work();
          }),
      };
    },
    between: (action, work) =>
      alone(() => {
        checkOpen(action);
        return work();
      }),
    async close() {
      closed = true;
      current.abort(new PromptError(`Cannot go on: ${CLOSED}`));
      await last;
    },
  };
}
