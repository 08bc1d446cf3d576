import { createHash } from "node:crypto";
import { mkdirSync, statSync } from "node:fs";
import { join, resolve, sep } from "node:path";

/**
 * Marks a model as used by this process until disposed, so that `removeModel` leaves it alone. The
 * system unmarks it when the process ends, however it ends. A home that cannot be written marks
 * nothing, nor does a model outside of it.
 *
 * @param path Folder or GGUF file, as `resolveModel` returns it.
 */
export function markInUse(home: string, path: string): Disposable {
  const fetched = resolve(path).startsWith(resolve(home) + sep);
  const file = fetched ? openMark(home, path) : undefined;
  try {
    file?.lockSync(false);
  } catch {
    // Not every file system has locks.
  }
  return { [Symbol.dispose]: () => file?.close() };
}

/** Whether any process, this one included, has marked the model. */
export async function isInUse(home: string, path: string): Promise<boolean> {
  if (statSync(markPath(home, path), { throwIfNoEntry: false }) === undefined) return false;
  using file = openMark(home, path);
  return file !== undefined && !await file.tryLock(true);
}

function markPath(home: string, path: string): string {
  const key = createHash("sha256").update(resolve(path)).digest("hex").slice(0, 16);
  return join(home, "locks", `use-${key}`);
}

// node:fs has no locks of the operating system, so this file is Deno's.
function openMark(home: string, path: string): Deno.FsFile | undefined {
  try {
    mkdirSync(join(home, "locks"), { recursive: true });
    return Deno.openSync(markPath(home, path), { read: true, write: true, create: true });
  } catch {
    return undefined;
  }
}
