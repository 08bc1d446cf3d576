/** A line of a stream that clients leave out: it keeps connections from being cut as idle. */
const KEEP_ALIVE = ": keep-alive\n\n";

/** How a stream is sent. */
export interface StreamOptions {
  /** Milliseconds without a piece after which `idle` is sent. */
  readonly keepAlive: number;
  /** Empty: nothing. @default {a comment of server-sent events} */
  readonly idle?: string;
  /** Called when the reader leaves. */
  readonly onLeave: () => void;
}

/** The pieces of a text as a body, no faster than they are read. */
export function streamBody(
  pieces: AsyncIterator<string, void>,
  { keepAlive, idle = KEEP_ALIVE, onLeave }: StreamOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let pending: Promise<IteratorResult<string, void>> | undefined;
  return new ReadableStream({
    async pull(controller) {
      pending ??= pieces.next();
      const next = idle === "" ? await pending : await within(pending, keepAlive);
      if (next === undefined) return controller.enqueue(encoder.encode(idle));
      pending = undefined;
      if (next.done) controller.close();
      else controller.enqueue(encoder.encode(next.value));
    },
    async cancel() {
      onLeave();
      // What the iteration still throws is of no use to anybody.
      await Promise.allSettled([pending, pieces.return?.()]);
    },
  }, { highWaterMark: 1 });
}

async function within<T>(promise: Promise<T>, time: number): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), time);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** One event of server-sent events. */
export function serverSentEvent(data: unknown, event?: string): string {
  const name = event === undefined ? "" : `event: ${event}\n`;
  return `${name}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
}
