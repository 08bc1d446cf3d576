import { HubApiError, listFiles, modelInfo } from "npm:@huggingface/hub@2.17.5";
import { FetchError } from "../errors.ts";
import { startDeadline } from "./deadline.ts";
import type { RemoteFile } from "./download.ts";
import type { FetchContext } from "./fetch_context.ts";
import { hubEndpoint, hubFileUrl, hubHeaders } from "./hub_endpoint.ts";
import { statusError, unreachable } from "./hub_error.ts";
import { formatModelReference, type ModelReference } from "./model_reference.ts";
import { selectFiles } from "./select_files.ts";

/** The files of a model at one commit. */
export interface Snapshot {
  /** The commit that the revision is. */
  readonly commit: string;
  /** The files, with their paths in the repository. */
  readonly files: readonly (RemoteFile & { readonly path: string })[];
}

const COMMIT = /^[0-9a-f]{40,64}$/;

/**
 * Asks the hub which commit a revision is, and which of its files make up the model.
 *
 * @throws {SourceError} If the hub does not answer or refuses.
 * @throws {FetchError} If the repository has no checkpoint that can be read.
 */
export async function openSnapshot(
  reference: ModelReference,
  context: FetchContext,
): Promise<Snapshot> {
  const { repository, revision } = reference;
  const name = formatModelReference(reference);
  const hubUrl = hubEndpoint(context.environment);
  const headers = hubHeaders(context.environment);
  using deadline = startDeadline(context.signal, context.patience);
  const options = {
    hubUrl,
    fetch: (input: string | URL | Request, init?: RequestInit) =>
      context.fetch(input, { ...init, headers, signal: deadline.signal }),
  };
  try {
    const info = await modelInfo({
      ...options,
      name: repository,
      revision,
      additionalFields: ["sha"],
    });
    const commit = info.sha;
    if (!COMMIT.test(commit)) throw new Error(`${commit} is not a commit`);
    const listed = [];
    for await (
      const file of listFiles({ ...options, repo: repository, revision: commit, recursive: true })
    ) {
      deadline.extend(context.patience);
      if (file.type === "file") listed.push(file);
    }
    const chosen = selectFiles(listed.map(({ path }) => path), reference);
    return {
      commit,
      files: listed.filter(({ path }) => chosen.has(path)).map(({ path, size, oid, lfs }) => ({
        path,
        name: path,
        url: hubFileUrl(hubUrl, repository, commit, path),
        bytes: lfs?.size ?? size,
        checksum: lfs === undefined
          ? { kind: "git", value: oid ?? "" }
          : { kind: "sha256", value: lfs.oid },
      })),
    };
  } catch (error) {
    if (error instanceof FetchError || context.signal.aborted) throw error;
    if (error instanceof HubApiError) {
      throw statusError(name, hubUrl, error.statusCode, "Authorization" in headers);
    }
    throw unreachable(name, hubUrl, error);
  }
}
