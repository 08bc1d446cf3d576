import { dirname, join } from "node:path";
import { replaceAtomically, writeError } from "../../runtime/atomic_file.ts";
import { StorageError } from "../../runtime/errors.ts";
import { digestOf } from "../digest.ts";
import { checked, gathered, measureFile, writePieces } from "./checked.ts";
import { type Store, type StoredFile, storedPath } from "./store.ts";

/**
 * A store in a folder that all machines see.
 *
 * @throws {StorageError} If there is no such folder.
 */
export async function openFileStore(folder: string): Promise<Store> {
  const shown = `file://${folder}`;
  if (!await Deno.stat(folder).then(({ isDirectory }) => isDirectory, () => false)) {
    throw new StorageError(
      `Cannot use the store ${shown}: there is no such folder here; make it, or mount it where it is shared`,
      { options: ["store"] },
    );
  }
  const pathOf = (file: StoredFile) => join(folder, storedPath(file));
  const labelPath = (name: string) => join(folder, "names", name);
  const has = async (file: StoredFile) =>
    await Deno.stat(pathOf(file)).then(({ size }) => size === file.bytes, () => false);
  const place = async (file: StoredFile, write: (temporary: string) => Promise<void>) => {
    if (await has(file)) return file;
    const path = pathOf(file);
    try {
      await Deno.mkdir(dirname(path), { recursive: true });
    } catch (error) {
      throw writeError(path, error);
    }
    await replaceAtomically(path, write);
    return file;
  };
  const pieces = async function* (file: StoredFile): AsyncGenerator<Uint8Array, void> {
    using opened = await Deno.open(pathOf(file)).catch((error) => {
      throw new StorageError(
        `Cannot read ${file.sha256.slice(0, 12)}… of the store ${shown}: ${
          error instanceof Deno.errors.NotFound
            ? "it is not there; check that all machines have the same 'store'"
            : error.message
        }`,
        { cause: error, options: ["store"] },
      );
    });
    const buffer = new Uint8Array(1 << 20);
    for (let read = await opened.read(buffer); read !== null; read = await opened.read(buffer)) {
      yield buffer.slice(0, read);
    }
  };
  const content = (file: StoredFile) => checked(pieces(file), file, shown);
  return {
    shown,
    put: (bytes) =>
      place(
        { sha256: digestOf(bytes), bytes: bytes.length },
        (temporary) => Deno.writeFile(temporary, bytes),
      ),
    putFile: async (path) =>
      await place(await measureFile(path), (temporary) => Deno.copyFile(path, temporary)),
    read: (file) => gathered(content(file)),
    fetch: (file, path) =>
      replaceAtomically(path, (temporary) => writePieces(temporary, content(file))),
    has,
    remove: (file) => removeFile(pathOf(file)),
    async label(name) {
      try {
        return await Deno.readTextFile(labelPath(name));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw writeError(labelPath(name), error);
      }
    },
    async setLabel(name, text) {
      const path = labelPath(name);
      try {
        await Deno.mkdir(dirname(path), { recursive: true });
      } catch (error) {
        throw writeError(path, error);
      }
      await replaceAtomically(path, (temporary) => Deno.writeTextFile(temporary, text));
    },
    removeLabel: (name) => removeFile(labelPath(name)),
  };
}

async function removeFile(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw writeError(path, error);
  }
}
