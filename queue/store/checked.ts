import { createHash } from "node:crypto";
import { StorageError } from "../../runtime/errors.ts";
import type { StoredFile } from "./store.ts";

/**
 * Lets bytes through and compares them with their name in the end.
 *
 * @throws {StorageError} If they are others, or more or fewer.
 */
export async function* checked(
  chunks: AsyncIterable<Uint8Array>,
  { sha256, bytes }: StoredFile,
  shown: string,
): AsyncGenerator<Uint8Array, void> {
  const hash = createHash("sha256");
  let length = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    length += chunk.length;
    yield chunk;
  }
  if (length === bytes && hash.digest("hex") === sha256) return;
  throw new StorageError(
    `Cannot use ${
      sha256.slice(0, 12)
    }… of the store ${shown}: other data lie there under that name ` +
      `(${length} bytes, ${bytes} are due); remove the file, and it is made again`,
  );
}

/** Size and digest of a file, a piece at a time. */
export async function measureFile(path: string): Promise<StoredFile> {
  using file = await Deno.open(path);
  const hash = createHash("sha256");
  const buffer = new Uint8Array(1 << 20);
  let bytes = 0;
  for (let read = await file.read(buffer); read !== null; read = await file.read(buffer)) {
    hash.update(buffer.subarray(0, read));
    bytes += read;
  }
  return { sha256: hash.digest("hex"), bytes };
}

/** Writes pieces to a file, one behind the other. */
export async function writePieces(
  path: string,
  pieces: AsyncIterable<Uint8Array>,
): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for await (const piece of pieces) {
    for (let rest = piece; rest.length > 0;) rest = rest.subarray(await file.write(rest));
  }
}

/** All pieces in one. */
export async function gathered(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece);
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
