import { join } from "node:path";
import { FetchError } from "../errors.ts";
import { CATALOG, type CatalogModel } from "./catalog.ts";
import { pinnedPath } from "./fetch_model.ts";
import { hasBytes, readRecord, recordPath } from "./fetch_record.ts";
import {
  formatModelReference,
  type ModelReference,
  parseModelReference,
} from "./model_reference.ts";
import type { Checksum } from "./verified_file.ts";

/** A file of a fetched model. */
export interface FoundFile {
  /** Name inside the model. */
  readonly name: string;
  /** Where it lies. */
  readonly path: string;
  readonly bytes: number;
  /** Unknown for models that older versions fetched. */
  readonly checksum?: Checksum;
}

/** A fetched model and its files. */
export interface FoundModel {
  /** What `resolveModel` takes. */
  readonly name: string;
  /** The folder, or the GGUF file. */
  readonly path: string;
  readonly files: readonly FoundFile[];
  /** Name of the lock that who changes the files must hold. */
  readonly lock: string;
  /** Folder that holds the model and, for a pinned one, nothing else. */
  readonly folder: string;
  /** The record of the fetch; a pinned model has none. */
  readonly record?: { readonly path: string; readonly reference: ModelReference };
}

/**
 * Finds a model that was fetched.
 *
 * @param name A name of the catalog or `owner/name[@revision][:file.gguf]`.
 * @param action What is to be done with it, for the error.
 * @throws {FetchError} If it was not fetched, or the name is none.
 */
export async function findModel(
  home: string,
  name: string,
  action: string,
  catalog: readonly CatalogModel[] = CATALOG,
): Promise<FoundModel> {
  const known = catalog.find((model) => model.name === name.toLowerCase());
  const reference = known?.hub ?? parseModelReference(name);
  const found = known?.pinned === undefined
    ? reference && await findFetched(home, known?.name ?? name, reference)
    : await findPinned(home, { ...known, pinned: known.pinned });
  if (found) return found;
  throw new FetchError(
    `Cannot ${action} ${JSON.stringify(name)}: no model of that name was fetched; ` +
      "kvjudge models list shows those that were",
  );
}

async function findPinned(
  home: string,
  model: CatalogModel & Required<Pick<CatalogModel, "pinned">>,
): Promise<FoundModel | undefined> {
  const { name, pinned } = model;
  const path = pinnedPath(home, model);
  if (!await hasBytes(path, pinned.bytes)) return undefined;
  const checksum = { kind: "sha256", value: pinned.sha256 } as const;
  const file = { name: pinned.name, path, bytes: pinned.bytes, checksum };
  return { name, path, files: [file], lock: name, folder: join(path, "..") };
}

async function findFetched(
  home: string,
  name: string,
  reference: ModelReference,
): Promise<FoundModel | undefined> {
  const record = await readRecord(home, reference);
  if (record === undefined) return undefined;
  const path = recordPath(home, reference);
  const folder = join(path, "..", "..", record.commit);
  return {
    name: name.includes("/") ? formatModelReference(reference) : name,
    path: record.path,
    files: record.files.map((file) => ({
      name: file.path,
      path: join(folder, file.path),
      bytes: file.bytes,
      ...(file.checksum ? { checksum: file.checksum } : {}),
    })),
    lock: lockName(reference),
    folder,
    record: { path, reference },
  };
}

/** Name of the lock of a repository's files. */
function lockName({ repository }: ModelReference): string {
  return repository.replace("/", "--");
}
