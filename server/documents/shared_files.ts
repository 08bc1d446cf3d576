import * as v from "npm:valibot@1.5.0";
import { type Store, STORED_FILE } from "../../queue/store/store.ts";
import { checkJson } from "../../runtime/schema.ts";
import { DOCUMENT_RECORD, type DocumentFiles } from "./document_files.ts";

/** What other servers find of a document: its record, and where its cache lies. */
const SHARED = v.object({ record: DOCUMENT_RECORD, cache: STORED_FILE });

const labelOf = (id: string) => `documents/${id}`;

/**
 * A folder of documents whose other copy lies in a store that several servers share: what one has read,
 * all find. A document that the folder drops for want of room stays in the store; one that is deleted
 * goes from it.
 */
export function sharedDocumentFiles(files: DocumentFiles, store: Store): DocumentFiles {
  const find = async (id: string) => {
    const text = await store.label(labelOf(id));
    const checked = text === undefined ? undefined : checkJson(SHARED, text);
    // What a later kvjudge has written is read again here.
    return checked && "value" in checked && checked.value.record.id === id
      ? checked.value
      : undefined;
  };
  return {
    ...files,
    async write(record) {
      await files.write(record);
      const cache = await store.putFile(files.cachePath(record.id));
      await store.setLabel(labelOf(record.id), JSON.stringify({ record, cache }));
    },
    async fetch(id) {
      const found = await find(id);
      if (!found) return undefined;
      await store.fetch(found.cache, files.cachePath(id));
      await files.write(found.record);
      return found.record;
    },
    async withdraw(id) {
      const found = await find(id);
      await store.removeLabel(labelOf(id));
      if (found) await store.remove(found.cache);
    },
  };
}
