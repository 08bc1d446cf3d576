import { CheckpointError } from "../errors.ts";

/** An open file that is read in ranges. */
export interface RangeFile extends Disposable {
  /** Path, as given. */
  readonly path: string;
  /** Bytes in the file. */
  readonly size: number;
  /**
   * Fills `into` with the bytes from `offset` on.
   *
   * @throws {CheckpointError} If the file ends before `into` is full.
   */
  read(into: Uint8Array, offset: number): void;
}

/**
 * Opens a file to read ranges of it; nothing is read yet.
 *
 * @throws {CheckpointError} If the file does not exist, is a folder or may not be read.
 */
export function openRange(path: string): RangeFile {
  const { file, size } = open(path);
  return {
    path,
    size,
    read(into, offset) {
      try {
        file.seekSync(offset, Deno.SeekMode.Start);
        for (let filled = 0; filled < into.length;) {
          const count = file.readSync(into.subarray(filled));
          if (count === null || count === 0) {
            throw new CheckpointError(
              `Cannot read ${path}: it ends at byte ${offset + filled}, ` +
                `but ${into.length} bytes are needed from byte ${offset}; fetch the file again.`,
            );
          }
          filled += count;
        }
      } catch (error) {
        throw fileError(path, error);
      }
    },
    [Symbol.dispose]: () => file.close(),
  };
}

/**
 * Turns what the file system threw into a sentence about `path`; a {@linkcode CheckpointError} is
 * returned as it is.
 */
export function fileError(path: string, error: unknown): CheckpointError {
  if (error instanceof CheckpointError) return error;
  return new CheckpointError(`Cannot read ${path}: ${whyUnreadable(error)}.`, { cause: error });
}

/** What the file system threw, in words that end a sentence about the file. */
export function whyUnreadable(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "it does not exist";
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return "reading it is not permitted";
  }
  return error instanceof Error ? error.message : String(error);
}

function open(path: string): { file: Deno.FsFile; size: number } {
  try {
    // Asked before opening: opening a named pipe would wait for its writer.
    const { isFile, isDirectory, size } = Deno.statSync(path);
    if (isFile) return { file: Deno.openSync(path), size };
    throw new CheckpointError(
      `Cannot read ${path}: it is ${isDirectory ? "a folder" : "not a regular file"}.`,
    );
  } catch (error) {
    throw fileError(path, error);
  }
}
