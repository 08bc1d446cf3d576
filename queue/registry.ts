import type { Redis } from "npm:ioredis@6.0.0";
import * as v from "npm:valibot@1.5.0";
import { checkJson } from "../runtime/schema.ts";
import { drainedKey, PROGRESS, RUNS } from "./names.ts";
import { QUEUE_FORMAT, QUEUED_RUN, type QueuedRun } from "./run.ts";

/** A run as the queue lists it. */
export interface ListedRun {
  readonly name: string;
  /** Absent where it was written by a kvjudge that this one does not understand. */
  readonly run?: QueuedRun;
  /** Why it is not understood. */
  readonly problem?: string;
  /** Milliseconds of the server's clock. */
  readonly since: number;
  /** Samples or targets that the submitter has, of how many. */
  readonly done: number;
  readonly total: number;
}

const HEAD = v.object({ format: v.unknown(), version: v.string() });

const ENTRY = v.object({ since: v.number(), run: v.unknown() });

/** Seconds that a submitter has to see that its run was emptied. */
const DRAINED_SECONDS = 600;

/** Lists runs, those that wait longest first. */
export async function listRuns(client: Redis): Promise<readonly ListedRun[]> {
  const [entries, progress] = await Promise.all([client.hgetall(RUNS), client.hgetall(PROGRESS)]);
  const listed = Object.entries(entries).map(([name, text]): ListedRun => {
    const [done = 0, total = 0] = (progress[name] ?? "").split("/").map(Number);
    const entry = checkJson(ENTRY, text);
    if ("problem" in entry) return { name, problem: entry.problem, since: 0, done, total };
    const { since, run: found } = entry.value;
    const checked = checkJson(QUEUED_RUN, JSON.stringify(found));
    if ("value" in checked) return { name, run: checked.value, since, done, total };
    return { name, problem: problemOf(found, checked.problem), since, done, total };
  });
  return listed.sort((a, b) => a.since - b.since || a.name.localeCompare(b.name));
}

/** Another version explains more than the first field that differs. */
function problemOf(run: unknown, problem: string): string {
  const head = v.safeParse(HEAD, run);
  if (!head.success || head.output.format === QUEUE_FORMAT) return problem;
  return `it was submitted by kvjudge ${head.output.version}, whose runs have another form`;
}

/** Writes a run down for workers to find; one that is there keeps its place. */
export async function announceRun(client: Redis, name: string, run: QueuedRun): Promise<void> {
  const [seconds, micros] = await client.time();
  const since = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
  await client.hsetnx(RUNS, name, JSON.stringify({ since, run }));
}

/** Tells how far a run is. */
export async function tellProgress(
  client: Redis,
  name: string,
  done: number,
  total: number,
): Promise<void> {
  await client.hset(PROGRESS, name, `${done}/${total}`);
}

/** Takes a run off the list. */
export async function withdrawRun(client: Redis, name: string): Promise<void> {
  await client.multi().hdel(RUNS, name).hdel(PROGRESS, name).exec();
}

/** As {@linkcode withdrawRun}, for somebody else's: its submitter ends when it looks next. */
export async function markDrained(client: Redis, name: string): Promise<void> {
  await client.set(drainedKey(name), "1", "EX", DRAINED_SECONDS);
  await withdrawRun(client, name);
}

/** Whether somebody has emptied a run. */
export async function isDrained(client: Redis, name: string): Promise<boolean> {
  return await client.exists(drainedKey(name)) === 1;
}

/** A run that is submitted anew was not emptied. */
export async function forgetDrained(client: Redis, name: string): Promise<void> {
  await client.del(drainedKey(name));
}
