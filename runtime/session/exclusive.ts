import { PromptError } from "../errors.ts";

/** One thing that a session does, such as reading a prompt or making an answer. */
export interface ExclusiveTask {
  /** Aborts when another task begins or the session is closed. */
  readonly signal: AbortSignal;
  /**
   * Runs a part of the task while nothing else runs.
   *
   * @throws {PromptError} If the task is over.
   */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/** Lets one thing at a time work on the cache of a session. */
export interface Exclusive {
  /**
   * Begins a task and aborts the one before.
   *
   * @param action What is refused once the session is closed: "read a prompt".
   */
  begin(action: string): ExclusiveTask;
  /** Runs something beside the task, between two of its steps. */
  between<T>(action: string, work: () => Promise<T>): Promise<T>;
  /** Ends the task for good; returns when nothing runs any more. */
  close(): Promise<void>;
}

const CLOSED = "the session is closed; open another one";

/** Makes what keeps the tasks of a session apart. */
export function createExclusive(): Exclusive {
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
