import { dirname } from "node:path";
import { writeError } from "../runtime/atomic_file.ts";
import { StorageError } from "../runtime/errors.ts";

/**
 * Looks whether a file can be written, before a long prompt is read for it.
 *
 * @throws {StorageError} If its folder is missing or it is a folder itself.
 */
export async function checkTarget(path: string): Promise<void> {
  try {
    await Deno.stat(dirname(path));
  } catch (error) {
    throw writeError(path, error);
  }
  const there = await Deno.stat(path).catch(() => undefined);
  if (there?.isDirectory) {
    throw new StorageError(`Cannot write ${path}: it is a folder; give the name of a file`);
  }
}

/**
 * Looks whether files can be written into a folder, which need not be there yet, before anything is
 * measured for it.
 *
 * @throws {StorageError} If a file stands in its place.
 */
export async function checkFolder(path: string): Promise<void> {
  try {
    if ((await Deno.stat(path)).isDirectory) return;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw writeError(path, error);
  }
  throw new StorageError(`Cannot write into ${path}: a file has that name; give another folder`);
}
