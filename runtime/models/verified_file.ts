import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { storageError } from "./storage_error.ts";

/** What the bytes of a file must add up to. */
export interface Checksum {
  /** `git` is the SHA-1 that Git gives a blob. */
  readonly kind: "sha256" | "git";
  /** Lower-case hexadecimal. */
  readonly value: string;
}

/** A file on its way to its final name. What was received stays for a later run when disposed. */
export interface VerifiedFile extends AsyncDisposable {
  /** Bytes that are there. */
  readonly received: number;
  /** Appends. */
  write(chunk: Uint8Array): Promise<void>;
  /** Throws away what is there. */
  restart(): Promise<void>;
  /** Moves the file to its final name, or returns the checksum that it has instead. */
  finish(): Promise<{ readonly found?: string }>;
}

/**
 * Opens the partial file that belongs to `path`, with what an earlier run left in it. It gets its
 * final name only once it is complete and its checksum is right. One writer at a time.
 *
 * @param bytes Size of the whole file.
 * @throws {FetchError} If the disk refuses.
 */
export async function openVerifiedFile(
  path: string,
  bytes: number,
  checksum: Checksum,
): Promise<VerifiedFile> {
  // The checksum in the name keeps the bytes of another version out.
  const partial = `${path}.${checksum.value.slice(0, 8)}.partial`;
  const guard = async <T>(action: () => Promise<T>): Promise<T> => {
    try {
      return await action();
    } catch (error) {
      throw storageError(error, path);
    }
  };
  const handle = await guard(async () => {
    await mkdir(dirname(path), { recursive: true });
    // Keeps what is there, unlike "w+"; unlike "a" it writes at the given place on every system.
    return await open(partial, "r+").catch(() => open(partial, "w+"));
  });
  let hash = startHash(checksum, bytes);
  let received = 0;
  let closed = false;

  const close = async () => {
    if (closed) return;
    closed = true;
    await handle.close();
  };
  const restart = () =>
    guard(async () => {
      await handle.truncate(0);
      hash = startHash(checksum, bytes);
      received = 0;
    });

  const file: VerifiedFile = {
    get received() {
      return received;
    },
    write: (chunk) =>
      guard(async () => {
        await writeAll(handle, chunk, received);
        hash.update(chunk);
        received += chunk.length;
      }),
    restart,
    finish: () =>
      guard(async () => {
        const found = hash.copy().digest("hex");
        if (received !== bytes || found !== checksum.value) return { found };
        await handle.sync();
        await close();
        await rename(partial, path);
        return {};
      }),
    [Symbol.asyncDispose]: async () => {
      const empty = !closed && received === 0;
      await close();
      if (empty) await rm(partial, { force: true });
    },
  };
  try {
    const { size } = await handle.stat();
    if (size > bytes) await restart();
    for await (const chunk of createReadStream(partial)) {
      hash.update(chunk);
      received += chunk.length;
    }
  } catch (error) {
    await close();
    throw storageError(error, path);
  }
  return file;
}

/** Begins to compute a checksum of so many bytes. */
export function startHash({ kind }: Checksum, bytes: number): Hash {
  return kind === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${bytes}\0`);
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position + done);
    done += bytesWritten;
  }
}
