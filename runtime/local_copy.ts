import { fileURLToPath } from "node:url";
import { CheckpointError, FetchError } from "./errors.ts";

/**
 * Reads a small file at a path or URL. What lies elsewhere is downloaded to a temporary file, whose name
 * no error shows.
 *
 * @param source Path, or `file:`, `http:` or `https:` URL.
 * @param what What the file holds, for messages.
 * @throws {FetchError} If the URL cannot be fetched.
 */
export async function readLocally<T>(
  source: string | URL,
  what: string,
  read: (path: string) => T,
): Promise<T> {
  const url = asUrl(source);
  if (url === undefined) return read(String(source));
  if (url.protocol === "file:") return named(fileURLToPath(url), url.href, read);
  const bytes = await download(url, what);
  const path = await Deno.makeTempFile({ suffix: ".safetensors" });
  try {
    await Deno.writeFile(path, bytes);
    return named(path, url.href, read);
  } finally {
    await Deno.remove(path);
  }
}

function named<T>(path: string, source: string, read: (path: string) => T): T {
  try {
    return read(path);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    throw new CheckpointError(error.message.replaceAll(path, source), { cause: error });
  }
}

async function download(url: URL, what: string): Promise<Uint8Array> {
  try {
    const response = await fetch(url);
    if (response.ok) return await response.bytes();
    await response.body?.cancel();
    throw new Error(`the server answers ${response.status} ${response.statusText}`.trim());
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FetchError(`Cannot fetch ${what} from ${url.href}: ${reason}`, { cause });
  }
}

/** A URL if the source is one; a drive letter such as `C:` is part of a path. */
function asUrl(source: string | URL): URL | undefined {
  if (source instanceof URL) return source;
  return /^(https?|file):/i.test(source) && URL.canParse(source) ? new URL(source) : undefined;
}
