import { setImmediate } from "node:timers";
import { advanceTogether } from "../../runtime/engine/advance_together.ts";
import type { Engine } from "../../runtime/engine/engine.ts";
import type { NextToken } from "../../runtime/engine/sequence.ts";

/** Shares an engine among those who read and those who write. */
export interface Turns {
  /** Waits for its turn to read: chunks, soft tokens and the like, one after the other. */
  read<T>(work: () => Promise<T>): Promise<T>;
  /** Waits for the next step of all who write. */
  write(next: NextToken): Promise<Float32Array>;
  /** Says that somebody writes, until it is disposed of: a step waits a moment for all who do. */
  writer(): Disposable;
  /** Decoding steps, and tokens in them. */
  readonly counts: { readonly steps: number; readonly stepTokens: number };
}

interface Waiting<Work, Result> {
  readonly work: Work;
  readonly resolve: (result: Result | PromiseLike<Result>) => void;
  readonly reject: (error: unknown) => void;
}

/** Rounds of the event loop that a step waits for somebody who is about to ask for the next token. */
const PATIENCE = 4;

/**
 * Gives turns. Where some read and some write, each kind gets half of the time: a long document does not
 * keep answers waiting for more than a chunk of it, and answers do not keep a document from being read.
 *
 * @param now Milliseconds since some moment.
 */
export function createTurns(
  engine: Pick<Engine, "advance" | "together">,
  parallel: number,
  now: () => number,
): Turns {
  const reading: Waiting<() => Promise<unknown>, unknown>[] = [];
  const writing: Waiting<NextToken, Float32Array>[] = [];
  const spent = { reading: 0, writing: 0 };
  const counts = { steps: 0, stepTokens: 0 };
  let writers = 0;
  let running = false;

  const gather = async (): Promise<void> => {
    for (let round = 0; round < PATIENCE && writing.length < writers; round++) await nextRound();
  };
  const step = async (): Promise<void> => {
    const batch = writing.splice(0, parallel);
    try {
      const logits = await advanceTogether(engine, batch.map(({ work }) => work));
      counts.steps++;
      counts.stepTokens += batch.length;
      // Those behind the first are views into one array, which the next step does not touch.
      batch.forEach(({ resolve, reject }, index) => {
        const own = logits[index];
        if (own) resolve(own);
        else reject(new RangeError(`A step of ${batch.length} gave ${logits.length} logits`));
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  };
  const chunk = async (): Promise<void> => {
    const next = reading.shift();
    try {
      next?.resolve(await next.work());
    } catch (error) {
      next?.reject(error);
    }
  };
  const run = async (): Promise<void> => {
    if (running) return;
    running = true;
    try {
      await nextRound();
      for (;;) {
        await gather();
        if (reading.length === 0 && writing.length === 0) return;
        if (reading.length === 0 || writing.length === 0) spent.reading = spent.writing = 0;
        const writes = writing.length > 0 &&
          (reading.length === 0 || spent.writing <= spent.reading);
        const start = now();
        await (writes ? step() : chunk());
        spent[writes ? "writing" : "reading"] += now() - start;
        // Signals and whoever was answered have their turn.
        await nextRound();
      }
    } finally {
      running = false;
    }
  };
  const wait = <Work, Result>(
    queue: Waiting<Work, Result>[],
    work: Work,
  ): Promise<Result> => {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    queue.push({ work, resolve, reject });
    void run();
    return promise;
  };
  return {
    async read<T>(work: () => Promise<T>): Promise<T> {
      let result: { readonly value: T } | undefined;
      await wait(reading, async () => {
        result = { value: await work() };
      });
      if (!result) throw new Error("A turn ended without a result");
      return result.value;
    },
    write: (next) => wait(writing, next),
    writer() {
      writers++;
      let ended = false;
      return {
        [Symbol.dispose]() {
          if (!ended) writers--;
          ended = true;
        },
      };
    },
    counts,
  };
}

function nextRound(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => resolve()));
}
