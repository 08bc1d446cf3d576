import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { CATALOG, type CatalogModel } from "./catalog.ts";
import { convertedBytes } from "./converted.ts";
import { pinnedPath } from "./fetch_model.ts";
import { hasBytes, readRecord } from "./fetch_record.ts";
import { formatModelReference, type ModelReference } from "./model_reference.ts";
import { isInUse } from "./model_use.ts";
import { demandText } from "../given.ts";

/** A model that is known by name or was fetched. */
export interface ListedModel {
  /** What `resolveModel` takes. */
  readonly name: string;
  /** One line; empty for models outside the catalog. */
  readonly about: string;
  /** Whether it can be opened without the network. */
  readonly fetched: boolean;
  /** Size on disk, in bytes; unknown for models that were not fetched and are not pinned. */
  readonly bytes?: number;
  /** Bytes of weights that were converted from it, which go with it. Absent: none were. */
  readonly converted?: number;
  /** Where it lies, if it was fetched. */
  readonly path?: string;
  /** A process has it open. Absent: none has. */
  readonly inUse?: true;
}

/**
 * Lists the catalog, then other models of the hub that were fetched.
 *
 * @example
 * ```ts
 * import { listModels } from "./list_models.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const home = await Deno.makeTempDir();
 * const [first] = await listModels(home);
 * assertEquals([first?.name, first?.fetched], ["smollm2-135m-instruct", false]);
 * await Deno.remove(home, { recursive: true });
 * ```
 */
export async function listModels(
  home: string,
  catalog: readonly CatalogModel[] = CATALOG,
): Promise<ListedModel[]> {
  demandText("list models", "their folder", home, "a path");
  const named = await Promise.all(catalog.map((model) => describe(home, model)));
  const addresses = new Set(catalog.map(({ hub }) => formatModelReference(hub)));
  const others = (await fetchedReferences(home))
    .filter((reference) => !addresses.has(formatModelReference(reference)))
    .map((hub) => describe(home, { name: formatModelReference(hub), about: "", hub }));
  return [...named, ...(await Promise.all(others)).filter(({ fetched }) => fetched)];
}

async function describe(home: string, model: CatalogModel): Promise<ListedModel> {
  const { name, about, hub, pinned } = model;
  if (pinned !== undefined) {
    const path = pinnedPath(home, { ...model, pinned });
    const fetched = await hasBytes(path, pinned.bytes);
    const here = fetched ? { path, ...await stateOf(home, path) } : {};
    return { name, about, fetched, bytes: pinned.bytes, ...here };
  }
  const record = await readRecord(home, hub);
  if (record === undefined) return { name, about, fetched: false };
  const bytes = record.files.reduce((sum, file) => sum + file.bytes, 0);
  const { path } = record;
  return { name, about, fetched: true, bytes, path, ...await stateOf(home, path) };
}

async function stateOf(
  home: string,
  path: string,
): Promise<Pick<ListedModel, "converted" | "inUse">> {
  const converted = await convertedBytes(home, path);
  return {
    ...(converted > 0 ? { converted } : {}),
    ...(await isInUse(home, path) ? { inUse: true } : {}),
  };
}

async function fetchedReferences(home: string): Promise<ModelReference[]> {
  const references: ModelReference[] = [];
  const hub = join(home, "hub");
  for (const owner of await names(hub)) {
    for (const name of await names(join(hub, owner))) {
      for (const record of await names(join(hub, owner, name, "records"))) {
        if (!record.endsWith(".json")) continue;
        const [revision = "", file] = record.slice(0, -5).split("+").map(decodeURIComponent);
        references.push({
          repository: `${owner}/${name}`,
          revision,
          ...(file === undefined ? {} : { file }),
        });
      }
    }
  }
  return references;
}

async function names(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).sort();
}
