import { randomUUID } from "node:crypto";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FetchError } from "../errors.ts";
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
  const sleep = (milliseconds: number) =>
    new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
  using _lock = await lockFile(join(home, "locks", `${model.lock}.lock`), {
    signal,
    sleep: async (milliseconds) => {
      await sleep(milliseconds);
      signal.throwIfAborted();
    },
    onWait: () => {},
  });
  if (await isInUse(home, model.path)) {
    throw new FetchError(
      `Cannot remove ${model.name}: a process is using it; end that process and try again`,
    );
  }
  const doomed = join(home, "tmp", `removed-${randomUUID()}`);
  try {
    if (model.record) await rm(model.record.path);
    const converted = fingerprint === undefined ? [] : await convertedFiles(home, fingerprint);
    const paths = [...await ownFiles(home, model), ...converted];
    const bytes = await moveAway(paths, doomed);
    await rm(doomed, { recursive: true, force: true });
    await removeEmpty(model.folder, home);
    return { files: paths.length, bytes };
  } catch (error) {
    throw storageError(error, model.path);
  }
}

/** The model's files that no other record shares, and what cut downloads left beside them. */
async function ownFiles(home: string, model: FoundModel): Promise<string[]> {
  const { record, files, folder } = model;
  const shared = new Set<string>();
  if (record) {
    for (const other of await readRecords(home, record.reference.repository)) {
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
  await mkdir(folder, { recursive: true });
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
