import type { Redis } from "npm:ioredis@6.0.0";
import type { QueueAddress } from "./address.ts";
import { QueueError } from "./errors.ts";

/** What {@linkcode openLink} needs. */
export interface LinkOptions {
  readonly address: QueueAddress;
  /** Milliseconds that the server may be gone. */
  readonly patience: number;
  readonly now: () => number;
  readonly signal?: AbortSignal | undefined;
  readonly onNote?: ((text: string) => void) | undefined;
}

/** Ends waits that would last for ever. */
export interface Link extends Disposable {
  /**
   * Waits for what the server does.
   *
   * @throws {QueueError} If the server is gone for too long, or {@linkcode Link.end} was called.
   */
  within<T>(work: Promise<T>): Promise<T>;
  /** Ends all waits with an error. */
  end(error: unknown): void;
}

/** Milliseconds between two looks at the connection. */
const LOOK_PAUSE = 250;

/** Watches a connection: commands on it wait for a server that is gone, however long. */
export function openLink(client: Redis, options: LinkOptions): Link {
  const { address: { shown }, patience, now, signal, onNote } = options;
  const { promise: ended, reject: end } = Promise.withResolvers<never>();
  // It is looked at with every wait.
  ended.catch(() => {});
  let goneSince: number | undefined;
  const look = () => {
    if (client.status === "ready") {
      if (goneSince !== undefined) onNote?.(`the queue at ${shown} is there again`);
      goneSince = undefined;
      return;
    }
    if (goneSince === undefined) {
      goneSince = now();
      return;
    }
    if (now() - goneSince < patience) return;
    end(
      new QueueError(
        `Cannot go on: the queue at ${shown} has been gone for ${
          Math.round(patience / 1000)
        } s; what was done is kept, and the same command goes on when its server runs again`,
      ),
    );
  };
  const told = () => onNote?.(`the queue at ${shown} is gone; waiting for it`);
  const closed = () => {
    if (goneSince === undefined) told();
    goneSince ??= now();
  };
  client.on("close", closed);
  const timer = setInterval(look, LOOK_PAUSE);
  const aborted = () => end(signal?.reason);
  if (signal?.aborted) aborted();
  signal?.addEventListener("abort", aborted);
  return {
    within: (work) => {
      const told = work.catch((error) => {
        if (!(error instanceof Error) || error.name !== "ReplyError") throw error;
        throw new QueueError(
          `Cannot go on: the queue at ${shown} refuses a command (${error.message}); look at its ` +
            "server's memory and rights, what was done is kept, and the same command goes on",
          { cause: error },
        );
      });
      // Whoever lost the race may fail later, when nobody listens.
      told.catch(() => {});
      return Promise.race([told, ended]);
    },
    end,
    [Symbol.dispose]() {
      clearInterval(timer);
      client.off("close", closed);
      signal?.removeEventListener("abort", aborted);
    },
  };
}
