import * as v from "npm:valibot@1.5.0";
import { mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { dirname, isAbsolute, join } from "node:path";
import type { ModelReference } from "./model_reference.ts";
import { storageError } from "./storage_error.ts";
import { checkJson, type SchemaOf } from "../schema.ts";
import type { Checksum } from "./verified_file.ts";

const CHECKSUM: SchemaOf<Checksum> = v.object({
  kind: v.picklist(["sha256", "git"]),
  value: v.string(),
});

const RECORDED_FILE = v.object({
  /** Inside the folder of the commit. */
  path: v.pipe(
    v.string(),
    v.check(
      (path) => !path.split(/[\\/]/).includes("..") && !isAbsolute(path),
      "inside the folder",
    ),
  ),
  bytes: v.number(),
  /** Missing in records of older versions. */
  checksum: v.exactOptional(CHECKSUM),
});

const FETCH_RECORD = v.object({
  /** The commit that the revision was pinned to. */
  commit: v.pipe(v.string(), v.regex(/^[0-9a-f]{40,64}$/, "a commit")),
  /** The model's files. */
  files: v.pipe(v.array(v.pipe(RECORDED_FILE, v.readonly())), v.readonly()),
});

/** What a finished fetch left behind. */
export type FetchRecord = Readonly<v.InferOutput<typeof FETCH_RECORD>>;

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

/**
 * The records of all revisions and files of a repository that were fetched.
 *
 * @param except Path of one that is left out.
 */
export async function readRecords(
  home: string,
  repository: string,
  except?: string,
): Promise<FetchRecord[]> {
  const folder = join(home, "hub", ...repository.split("/"), "records");
  const records: FetchRecord[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    if (join(folder, name) === except) continue;
    const record = parse(await readFile(join(folder, name), "utf8").catch(() => ""));
    if (record) records.push(record);
  }
  return records;
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

/** What is damaged counts as not there: the model is fetched again. */
function parse(text: string): FetchRecord | undefined {
  const checked = checkJson(FETCH_RECORD, text);
  return "value" in checked ? checked.value : undefined;
}
