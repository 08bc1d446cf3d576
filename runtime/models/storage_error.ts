import { FetchError } from "../errors.ts";

/**
 * Turns a failure to write into a {@linkcode FetchError} with a way out; other errors stay as they
 * are.
 */
export function storageError(error: unknown, path: string): unknown {
  if (error instanceof Error && error.name === "NotCapable") {
    return new FetchError(`Cannot store ${path}: ${error.message}`, { cause: error });
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const advice = ADVICE.get(code);
  if (advice === undefined) return error;
  return new FetchError(`Cannot store ${path}: ${advice}, or set KVJUDGE_HOME to another folder`, {
    cause: error,
  });
}

const ADVICE: ReadonlyMap<string, string> = new Map([
  ["ENOSPC", "the disk is full; free space and run again to go on where it stopped"],
  ["EDQUOT", "the disk quota is used up; free space and run again to go on where it stopped"],
  ["EACCES", "the folder is not writable; change its permissions"],
  ["EPERM", "the folder is not writable; change its permissions"],
  ["EROFS", "the disk is read-only; make it writable"],
  ["ENOTDIR", "a part of the path is a file, not a folder; move that file away"],
  ["EEXIST", "a part of the path is a file, not a folder; move that file away"],
]);
