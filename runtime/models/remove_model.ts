import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import * as v from "npm:valibot@1.5.0";
import { FetchError } from "../errors.ts";
import { checkJson, type SchemaOf } from "../schema.ts";
import { convertedFiles } from "./converted.ts";
import { readRecords } from "./fetch_record.ts";
import { lockFile } from "./file_lock.ts";
import type { FoundModel } from "./find_model.ts";
import { isInUse } from "./model_use.ts";
import { storageError } from "./storage_error.ts";

/** What {@linkcode removeModel} depends on. */
export interface RemoveOptions {
  /** Ends waiting for a process that fetches the same model. */
  readonly signal: AbortSignal;
  /** SHA-256 of the checkpoint: weights that were converted from it go as well. */
  readonly fingerprint?: string;
}

/** What was removed. */
export interface Removal {
  readonly files: number;
  readonly bytes: number;
}

/**
 * Removes a fetched model, what was left of cut downloads of it, and weights that were converted from
 * it. It stops being listed first; then its files move to a folder that is removed, so that a model is
 * never there in part.
 *
 * @throws {FetchError} If a process uses the model, or the disk refuses.
 */
export async function removeModel(
  home: string,
  model: FoundModel,
  { signal, fingerprint }: RemoveOptions,
): Promise<Removal> {
  using _lock = await lockOf(home, model.lock, signal);
  if (await isInUse(home, model.path)) {
    throw new FetchError(
      `Cannot remove ${model.name}: a process is using it; end that process and try again`,
    );
  }
  const doomed = join(home, "tmp", `removed-${randomUUID()}`);
  try {
    const converted = fingerprint === undefined ? [] : await convertedFiles(home, fingerprint);
    const paths = [...await ownFiles(home, model), ...converted];
    await mkdir(doomed, { recursive: true });
    const { name, lock, folder, record } = model;
    const plan = { name, lock, folder, paths, ...(record ? { record: record.path } : {}) };
    await writeFile(join(doomed, PLAN_FILE), JSON.stringify(plan satisfies Plan));
    if (record) await rm(record.path);
    const bytes = await moveAway(paths, doomed);
    await rm(doomed, { recursive: true, force: true });
    await removeEmpty(model.folder, home);
    return { files: paths.length, bytes };
  } catch (error) {
    throw storageError(error, model.path);
  }
}

/** What a removal that was killed is finished by. */
interface Plan {
  readonly name: string;
  readonly lock: string;
  readonly folder: string;
  readonly paths: readonly string[];
  /** The record that went first; a pinned model has none. */
  readonly record?: string | undefined;
}

const PLAN: SchemaOf<Plan> = v.object({
  name: v.string(),
  lock: v.string(),
  folder: v.string(),
  paths: v.array(v.string()),
  record: v.optional(v.string()),
});

/** Name of a plan in the folder of what it removes. */
const PLAN_FILE = "plan.json";

/**
 * Finishes removals that were killed. A model that was fetched again meanwhile stays.
 *
 * @returns Names of the models that are gone now.
 * @throws {FetchError} If the disk refuses.
 */
export async function finishRemovals(
  home: string,
  { signal }: Pick<RemoveOptions, "signal">,
): Promise<readonly string[]> {
  const names: string[] = [];
  const tmp = join(home, "tmp");
  for (const entry of await readdir(tmp).catch(() => [])) {
    if (!entry.startsWith("removed-")) continue;
    const doomed = join(tmp, entry);
    const text = await readFile(join(doomed, PLAN_FILE), "utf8").catch(() => "");
    const checked = checkJson(PLAN, text);
    try {
      if ("value" in checked) {
        const { name, lock, folder, paths, record } = checked.value;
        using _lock = await lockOf(home, lock, signal);
        // Its own process has finished it while this one waited.
        if (!existsSync(doomed)) continue;
        const again = record === undefined ? paths.some(existsSync) : existsSync(record);
        if (!again) {
          for (const path of paths.filter((one) => isBelow(home, one))) await rm(path, FORCED);
          if (isBelow(home, folder)) await removeEmpty(folder, home);
          names.push(name);
        }
        await rm(doomed, FORCED);
      } else await rm(doomed, FORCED);
    } catch (error) {
      throw storageError(error, doomed);
    }
  }
  return names;
}

const FORCED = { recursive: true, force: true };

function isBelow(home: string, path: string): boolean {
  return resolve(path).startsWith(resolve(home) + sep);
}

/** Waits for the lock that who changes a model's files must hold. */
async function lockOf(home: string, name: string, signal: AbortSignal): Promise<Disposable> {
  return await lockFile(join(home, "locks", `${name}.lock`), {
    signal,
    sleep: async (milliseconds) => {
      await new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
      signal.throwIfAborted();
    },
    onWait: () => {},
  });
}

/** The model's files that no other record shares, and what cut downloads left beside them. */
async function ownFiles(home: string, model: FoundModel): Promise<string[]> {
  const { record, files, folder } = model;
  const shared = new Set<string>();
  if (record) {
    for (const other of await readRecords(home, record.reference.repository, record.path)) {
      if (join(record.path, "..", "..", other.commit) !== folder) continue;
      for (const { path } of other.files) shared.add(join(folder, path));
    }
  }
  const own = files.map(({ path }) => path).filter((path) => !shared.has(path));
  const partial: string[] = [];
  for (const place of new Set(own.map((path) => dirname(path)))) {
    for (const name of await readdir(place).catch(() => [])) {
      const path = join(place, name);
      if (name.endsWith(".partial") && own.some((file) => path.startsWith(`${file}.`))) {
        partial.push(path);
      }
    }
  }
  return [...own, ...partial];
}

/** Moves files into a folder on the same disk and returns their bytes. */
async function moveAway(paths: readonly string[], folder: string): Promise<number> {
  let bytes = 0;
  for (const [index, path] of paths.entries()) {
    bytes += (await stat(path)).size;
    await rename(path, join(folder, String(index)));
  }
  return bytes;
}

/** Removes a folder and those above it, as long as nothing is in them. */
async function removeEmpty(folder: string, home: string): Promise<void> {
  for (let place = folder; place.startsWith(home) && place !== home; place = dirname(place)) {
    const left = await readdir(place).catch(() => ["?"]);
    const onlyRecords = left.length === 1 && left[0] === "records" &&
      (await readdir(join(place, "records"))).length === 0;
    if (left.length > 0 && !onlyRecords) return;
    await rm(place, { recursive: true });
  }
}
