import { basename, dirname, join } from "node:path";
import process from "node:process";
import { CheckpointError, KvjudgeError, StorageError } from "./errors.ts";

/**
 * Writes a file so that at every moment, whatever happens, its name stands for its old or for its new
 * content, and never for a part. When this returns, the new content is on the disk. What killed runs
 * left half-written beside the file is removed.
 *
 * @throws {StorageError} If the folder is missing or the disk refuses.
 *
 * @example
 * ```ts
 * import { writeAtomically } from "./atomic_file.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = await Deno.makeTempDir();
 * await writeAtomically(`${folder}/result.txt`, new TextEncoder().encode("done"));
 * assertEquals(await Deno.readTextFile(`${folder}/result.txt`), "done");
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  await replaceAtomically(path, (temporary) => Deno.writeFile(temporary, bytes));
}

/**
 * As {@linkcode writeAtomically}, for content that a function writes to the path it is given.
 *
 * @param write Writes the whole content to a temporary file in the same folder.
 * @param beforeRename Called when the content is on the disk under its temporary name.
 * @throws {StorageError} If the folder is missing or the disk refuses; the old content stays.
 */
export async function replaceAtomically(
  path: string,
  write: (temporary: string) => Promise<void>,
  beforeRename: () => void | Promise<void> = () => {},
): Promise<void> {
  const temporary = `${path}.${process.pid}-${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    await removeLeftovers(path);
    await write(temporary);
    await flush(temporary);
    await beforeRename();
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw writeError(path, error);
  }
  // Not every system can flush a folder; then the rename is as safe as the system makes it.
  await flush(dirname(path)).catch(() => {});
}

/** Turns what the file system threw into a sentence about `path`. */
export function writeError(path: string, error: unknown): KvjudgeError {
  // Its message names the temporary file, which would tell the user nothing.
  if (error instanceof CheckpointError && error.cause) return writeError(path, error.cause);
  // What a caller throws while it writes is its own, not the disk's.
  if (error instanceof KvjudgeError) return error;
  const reason = error instanceof Deno.errors.NotFound
    ? "its folder does not exist; make it first"
    : error instanceof Deno.errors.IsADirectory
    ? "it is a folder; give the name of a file"
    : error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.AlreadyExists
    ? "a file stands where a folder is needed; choose another place"
    : error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable
    ? "writing there is not permitted; choose another folder"
    : error instanceof Error && "code" in error && error.code === "ENOSPC"
    ? "the disk is full; free space and try again"
    : error instanceof Error
    ? error.message
    : String(error);
  return new StorageError(`Cannot write ${path}: ${reason}`, { cause: error });
}

async function flush(path: string): Promise<void> {
  using file = await Deno.open(path);
  await file.sync();
}

const HOUR = 3_600_000;

/** Removes the temporary files of processes that are gone. */
async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path);
  const prefix = `${basename(path)}.`;
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.startsWith(prefix)) continue;
    const owner = /^(\d+)-[0-9a-f]{8}\.tmp(\..*)?$/.exec(name.slice(prefix.length))?.[1];
    if (owner === undefined) continue;
    const file = join(folder, name);
    const changed = (await Deno.stat(file).catch(() => undefined))?.mtime?.getTime() ?? Date.now();
    // Numbers of processes are used again: this process, too, may find a file of its number.
    const limit = Number(owner) === process.pid ? performance.timeOrigin : Date.now() - HOUR;
    if (changed < limit || !isAlive(Number(owner))) await Deno.remove(file).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}
