import type { Redis } from "npm:ioredis@6.0.0";
import * as v from "npm:valibot@1.5.0";
import { checkJson, type SchemaOf } from "../runtime/schema.ts";
import { workerKey, WORKERS } from "./names.ts";

/** What a worker says of itself while it lives. */
export interface WorkerPresence {
  readonly id: string;
  /** Machine and number of the process, or what its operator calls it. */
  readonly name: string;
  readonly version: string;
  readonly processor: string;
  /** Jobs that it takes at a time. */
  readonly concurrency: number;
  /** The run that it works on. */
  readonly run?: string;
  /** Jobs under way. */
  readonly running: number;
  /** Jobs that it has done since it began. */
  readonly done: number;
  /** Tries that failed. */
  readonly failed: number;
  /** Why it does not work on runs, by their names. */
  readonly refusals: Readonly<Record<string, string>>;
}

const PRESENCE: SchemaOf<WorkerPresence> = v.object({
  id: v.string(),
  name: v.string(),
  version: v.string(),
  processor: v.string(),
  concurrency: v.number(),
  run: v.exactOptional(v.string()),
  running: v.number(),
  done: v.number(),
  failed: v.number(),
  refusals: v.record(v.string(), v.string()),
});

/** A worker that was silent for so many milliseconds is gone. */
const LIFETIME = 10_000;

/** Says that a worker lives. */
export async function sayPresent(client: Redis, presence: WorkerPresence): Promise<void> {
  await client.multi()
    .set(workerKey(presence.id), JSON.stringify(presence), "PX", LIFETIME)
    .sadd(WORKERS, presence.id)
    .exec();
}

/** Says that a worker ends. */
export async function sayGone(client: Redis, id: string): Promise<void> {
  await client.multi().del(workerKey(id)).srem(WORKERS, id).exec();
}

/** The workers that live, by name. */
export async function presentWorkers(client: Redis): Promise<readonly WorkerPresence[]> {
  const ids = await client.smembers(WORKERS);
  if (ids.length === 0) return [];
  const texts = await client.mget(ids.map(workerKey));
  const gone = ids.filter((_, at) => texts[at] === null || texts[at] === undefined);
  if (gone.length > 0) await client.srem(WORKERS, ...gone);
  return texts.flatMap((text) => {
    const checked = typeof text === "string" ? checkJson(PRESENCE, text) : undefined;
    return checked && "value" in checked ? [checked.value] : [];
  }).sort((a, b) => a.name.localeCompare(b.name));
}
