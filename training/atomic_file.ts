import * as atomic from "../runtime/atomic_file.ts";
import { StorageError } from "../runtime/errors.ts";
import { TrainingError } from "./errors.ts";

/**
 * Writes a file whole or not at all, as {@linkcode atomic.writeAtomically} does.
 *
 * @throws {TrainingError} If the folder is missing or the disk refuses.
 */
export async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  await replaceAtomically(path, (temporary) => Deno.writeFile(temporary, bytes));
}

/**
 * Replaces a file whole or not at all, as {@linkcode atomic.replaceAtomically} does.
 *
 * @throws {TrainingError} If the folder is missing or the disk refuses; the old content stays.
 */
export async function replaceAtomically(
  path: string,
  write: (temporary: string) => Promise<void>,
  beforeRename: () => void | Promise<void> = () => {},
): Promise<void> {
  try {
    await atomic.replaceAtomically(path, write, beforeRename);
  } catch (error) {
    throw writeError(path, error);
  }
}

/** Turns what the file system threw into a sentence about `path`. */
export function writeError(path: string, error: unknown): TrainingError {
  if (error instanceof TrainingError) return error;
  // What a run throws while it writes is its own, not the disk's.
  if (error instanceof StorageError && error.cause instanceof TrainingError) return error.cause;
  return new TrainingError(atomic.writeError(path, error).message, { cause: error });
}
