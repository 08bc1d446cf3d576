import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { storageError } from "./storage_error.ts";

/** Options of {@linkcode lockFile}. */
export interface LockOptions {
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  /** Waits between two looks. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Called once if somebody else holds the lock. */
  readonly onWait: () => void;
}

/**
 * Waits until this caller alone holds the lock. The system frees it when the process ends, however
 * it ends, so no lock is ever left behind; the empty file stays.
 *
 * @throws {FetchError} If the file cannot be made.
 */
export async function lockFile(
  path: string,
  { signal, sleep, onWait }: LockOptions,
): Promise<Disposable> {
  const file = openLock(path);
  try {
    for (let waited = false; !await file.tryLock(true); waited = true) {
      if (!waited) onWait();
      await sleep(200, signal);
    }
  } catch (error) {
    file.close();
    throw error;
  }
  return { [Symbol.dispose]: () => file.close() };
}

// node:fs has no locks of the operating system, so this file is Deno's.
function openLock(path: string): Deno.FsFile {
  try {
    mkdirSync(dirname(path), { recursive: true });
    return Deno.openSync(path, { read: true, write: true, create: true });
  } catch (error) {
    throw storageError(error, path);
  }
}
