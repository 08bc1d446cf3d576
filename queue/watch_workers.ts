import type { Redis } from "npm:ioredis@6.0.0";
import type { QueueAddress } from "./address.ts";
import { QueueError } from "./errors.ts";
import type { Link } from "./link.ts";
import { presentWorkers } from "./presence.ts";

/** What {@linkcode watchWorkers} needs. */
export interface WorkerWatch {
  readonly address: QueueAddress;
  readonly link: Link;
  readonly onNote?: (text: string) => void;
  readonly onWorkers?: (count: number) => void;
}

/** Milliseconds between two looks. */
const LOOK_PAUSE = 1000;

/** Looks that must agree before a run is given up: a worker may just be starting. */
const LOOKS = 3;

/**
 * Tells which workers refuse a run and why; gives it up when all that live do.
 */
export function watchWorkers(
  client: Redis,
  run: string,
  { address: { shown }, link, onNote, onWorkers }: WorkerWatch,
): Disposable {
  const told = new Set<string>();
  let alone = 0;
  let refused = 0;
  const look = async () => {
    const workers = await presentWorkers(client);
    const refusals = workers.flatMap(({ name, refusals }) => {
      const reason = refusals[run];
      return reason === undefined ? [] : [`${name}: ${reason}`];
    });
    for (const refusal of refusals) {
      if (!told.has(refusal)) onNote?.(`a worker does not take this run, ${refusal}`);
      told.add(refusal);
    }
    onWorkers?.(workers.length - refusals.length);
    alone = workers.length === 0 ? alone + 1 : 0;
    if (alone === LOOKS) {
      onNote?.(`no worker is there yet; start some: kvjudge worker --queue ${shown}`);
    }
    refused = workers.length > 0 && refusals.length === workers.length ? refused + 1 : 0;
    if (refused < LOOKS) return;
    link.end(
      new QueueError(
        `Cannot go on: no worker of the queue at ${shown} takes this run (${refusals.join("; ")})`,
      ),
    );
  };
  let looking = false;
  const timer = setInterval(() => {
    // Its commands wait where the server is gone.
    if (looking) return;
    looking = true;
    look().catch(link.end).finally(() => looking = false);
  }, LOOK_PAUSE);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
