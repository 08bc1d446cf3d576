import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import type { ModelReference } from "./model_reference.ts";
import { storageError } from "./storage_error.ts";

/** What a finished fetch left behind. */
export interface FetchRecord {
  /** The commit that the revision was pinned to. */
  readonly commit: string;
  /** Paths inside the folder of the commit, and sizes. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
}

/** A fetched model. */
export interface FetchedModel extends FetchRecord {
  /** The folder, or the GGUF file. */
  readonly path: string;
}

/** Where the record of a reference lies: `hub/<owner>/<name>/records/<revision>[:file].json`. */
export function recordPath(home: string, { repository, revision, file }: ModelReference): string {
  const name = [revision, ...(file === undefined ? [] : [file])].map(encodeURIComponent).join("+");
  return join(home, "hub", ...repository.split("/"), "records", `${name}.json`);
}

/** Finds a model that was fetched whole and is still there. */
export async function readRecord(
  home: string,
  reference: ModelReference,
): Promise<FetchedModel | undefined> {
  const place = recordPath(home, reference);
  const record = parse(await readFile(place, "utf8").catch(() => ""));
  if (record === undefined) return undefined;
  const folder = join(place, "..", "..", record.commit);
  for (const { path, bytes } of record.files) {
    if (!await hasBytes(join(folder, path), bytes)) return undefined;
  }
  return { ...record, path: modelPath(folder, record) };
}

/**
 * Remembers a fetch. The record appears whole or not at all.
 *
 * @returns Path of the model.
 */
export async function writeRecord(
  home: string,
  reference: ModelReference,
  record: FetchRecord,
): Promise<string> {
  const place = recordPath(home, reference);
  const temporary = `${place}.${randomUUID()}`;
  try {
    await mkdir(dirname(place), { recursive: true });
    await writeFile(temporary, JSON.stringify(record));
    await rename(temporary, place);
  } catch (error) {
    throw storageError(error, place);
  }
  return modelPath(join(place, "..", "..", record.commit), record);
}

/** Whether there is a file of this size. */
export async function hasBytes(path: string, bytes: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true && found.size === bytes;
}

function modelPath(folder: string, { files }: FetchRecord): string {
  const quantised = files.find(({ path }) => path.endsWith(".gguf"));
  return quantised === undefined ? folder : join(folder, quantised.path);
}

function parse(text: string): FetchRecord | undefined {
  try {
    const value = JSON.parse(text);
    const whole = typeof value?.commit === "string" && Array.isArray(value.files);
    return whole ? value : undefined;
  } catch {
    return undefined;
  }
}
