import * as v from "npm:valibot@1.5.0";
import { replaceAtomically, writeError } from "../../runtime/atomic_file.ts";
import { checkJson, COUNT, type SchemaOf } from "../../runtime/schema.ts";
import type { DocumentInfo } from "../scheduler/documents.ts";

/** What is kept of a document beside its cache. */
export interface DocumentRecord extends Omit<DocumentInfo, "stored"> {
  readonly text: string;
  readonly system?: string;
  /** SHA-256 of the checkpoint that read it. */
  readonly fingerprint: string;
  /** What was kept of each token, as `packShares` writes it. */
  readonly shares?: string;
}

/** A folder of documents: of each a saved cache and, written last, its record. */
export interface DocumentFiles {
  /** All whole ones. What a process left that was killed is removed. */
  list(): Promise<readonly DocumentRecord[]>;
  /** Where a document's cache lies. */
  cachePath(id: string): string;
  /**
   * Writes a record: from then on the document is there.
   *
   * @throws {StorageError} If it cannot be written.
   */
  write(record: DocumentRecord): Promise<void>;
  remove(id: string): Promise<void>;
  /** Bytes of a document's files. */
  bytes(id: string): Promise<number>;
  /** Brings a document that another server has shared; absent where nothing is shared. */
  fetch?(id: string): Promise<DocumentRecord | undefined>;
  /** Takes a document from other servers too. */
  withdraw?(id: string): Promise<void>;
}

/** Checks a record. */
export const DOCUMENT_RECORD: SchemaOf<DocumentRecord> = v.object({
  id: v.pipe(v.string(), v.regex(/^doc-[0-9a-f]{32}$/)),
  name: v.exactOptional(v.string()),
  model: v.string(),
  form: v.picklist(["chat", "text"]),
  created: COUNT,
  lastUsed: COUNT,
  tokens: COUNT,
  policy: v.string(),
  kept: v.number(),
  bytesBefore: COUNT,
  bytesAfter: COUNT,
  text: v.string(),
  system: v.exactOptional(v.string()),
  fingerprint: v.string(),
  shares: v.exactOptional(v.pipe(v.string(), v.base64())),
});

const FILE = /^(doc-[0-9a-f]{32})\.(json|kvcache)$/;
/** What `replaceAtomically` writes before it renames, and nothing of anybody else's. */
const OURS = /^\.?doc-[0-9a-f]{32}\./;

/**
 * The documents of a folder, which is made if need be.
 *
 * @throws {StorageError} If it cannot be made.
 */
export async function openDocumentFiles(folder: string): Promise<DocumentFiles> {
  try {
    // It holds the texts themselves.
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw writeError(folder, error);
  }
  const recordPath = (id: string) => `${folder}/${id}.json`;
  const cachePath = (id: string) => `${folder}/${id}.kvcache`;
  const removeFile = async (path: string): Promise<void> => {
    try {
      await Deno.remove(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw writeError(path, error);
    }
  };
  const read = async (id: string): Promise<DocumentRecord | undefined> => {
    const checked = checkJson(DOCUMENT_RECORD, await Deno.readTextFile(recordPath(id)));
    if (!("value" in checked)) return undefined;
    return await exists(cachePath(id)) ? checked.value : undefined;
  };
  return {
    cachePath,
    async list() {
      const whole = new Map<string, DocumentRecord>();
      const names = (await Array.fromAsync(Deno.readDir(folder)))
        .filter(({ isFile }) => isFile).map(({ name }) => name);
      for (const name of names) {
        const [, id, kind] = FILE.exec(name) ?? [];
        if (id === undefined || kind !== "json") continue;
        const record = await read(id);
        if (record?.id === id) whole.set(id, record);
      }
      for (const name of names) {
        const [, id = ""] = FILE.exec(name) ?? [];
        if (OURS.test(name) && !whole.has(id)) await removeFile(`${folder}/${name}`);
      }
      return [...whole.values()];
    },
    async write(record) {
      const path = recordPath(record.id);
      try {
        await replaceAtomically(
          path,
          (temporary) => Deno.writeTextFile(temporary, JSON.stringify(record)),
        );
      } catch (error) {
        throw writeError(path, error);
      }
    },
    async remove(id) {
      // The record first: without it the document is not there, whatever happens then.
      await removeFile(recordPath(id));
      await removeFile(cachePath(id));
    },
    async bytes(id) {
      const sizes = [recordPath(id), cachePath(id)].map(async (path) =>
        (await Deno.stat(path)).size
      );
      return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    },
  };
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
