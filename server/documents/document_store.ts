import { createHash } from "node:crypto";
import type { Engine } from "../../runtime/engine/engine.ts";
import type { Session } from "../../runtime/session/session.ts";
import { full } from "../../policies/full.ts";
import type { DocumentInfo, DocumentRequest, DocumentStore } from "../scheduler/documents.ts";
import { UnknownDocumentError } from "../scheduler/errors.ts";
import { oneByOne } from "../scheduler/one_by_one.ts";
import type { KeptToken } from "../scheduler/explain.ts";
import type { EvictionSettings } from "../scheduler/request.ts";
import type { DocumentFiles, DocumentRecord } from "./document_files.ts";

/** A document that was read now. */
export interface ReadDocument {
  /** What it was compressed to. The store owns it from then on. */
  readonly session: Session;
  readonly record: Pick<
    DocumentRecord,
    "tokens" | "policy" | "kept" | "bytesBefore" | "bytesAfter" | "shares"
  >;
}

/** How a document is to be read. */
export interface DocumentReading extends DocumentRequest {
  readonly form: "chat" | "text";
  /** The name of its model. */
  readonly model: string;
  readonly eviction: EvictionSettings | false;
}

/** What documents are kept with. */
export interface DocumentsOptions {
  /** Where they stay; in memory alone if absent. */
  readonly files?: DocumentFiles | undefined;
  /** Bytes of files at most. */
  readonly maxFileBytes: number;
  /** Reads and compresses one, when it is its turn. */
  readonly read: (reading: DocumentReading) => Promise<ReadDocument>;
  /** Opens a session on a saved cache. */
  readonly load: (record: DocumentRecord, path: string) => Promise<Session>;
  /** The tokens of a document, each with what was kept of it. */
  readonly tokens: (record: DocumentRecord) => Promise<readonly KeptToken[]>;
  /** Name and fingerprint of a model. */
  readonly model: (
    name: string | undefined,
  ) => Promise<Pick<DocumentRecord, "model" | "fingerprint">>;
  readonly eviction: EvictionSettings | false;
  readonly now: () => number;
}

/** Documents, and what the scheduler does with them. Owns those in memory. */
export interface Documents extends AsyncDisposable {
  readonly store: DocumentStore;
  /** Bytes of those in memory. */
  readonly bytes: number;
  /** Time of the one in memory that was used least recently; `Infinity` where there is none. */
  readonly oldest: number;
  /** Takes that one out of memory; if it lies nowhere else, it is forgotten. */
  dropOldest(): Promise<void>;
  /** Takes those of a model out of memory, as far as they lie elsewhere. */
  unload(model: string): Promise<void>;
  /**
   * A document's text, and a session that goes on behind it, which the caller closes.
   *
   * @param engineOf Gives the engine that the session runs on, for a name that no other document has, nor
   * the same one when it was read again: what is read behind it may be found by that.
   *
   * @throws {UnknownDocumentError} If there is none, or it was read by another model.
   */
  open(
    id: string,
    model: Pick<DocumentRecord, "model" | "fingerprint">,
    engineOf: (name: string) => Engine,
  ): Promise<OpenDocument>;
  /** A document's text. */
  record(id: string): DocumentRecord;
  /** Brings a document that another server has shared, where it is not here. */
  bring(id: string): Promise<void>;
}

/** A document to go on behind. */
export interface OpenDocument {
  readonly record: DocumentRecord;
  readonly session: Session;
}

interface Entry {
  record: DocumentRecord;
  readonly name: string;
  session: Promise<Session> | undefined;
  bytes: number;
  stored: boolean;
  used: number;
  /** Those who are making a session of it now: it stays in memory meanwhile. */
  users: number;
}

/**
 * Documents, with those found in a folder.
 *
 * @throws {StorageError} If the folder cannot be read.
 */
export async function openDocuments(options: DocumentsOptions): Promise<Documents> {
  const { files, maxFileBytes, load, model, now } = options;
  const seconds = () => Math.floor(now() / 1000);
  const entries = new Map<string, Entry>();
  const making = new Map<string, Promise<DocumentInfo>>();
  // A document's files are written, removed and counted by one at a time.
  const inTurn = oneByOne();
  let named = 0;
  const nameOf = (id: string) => `${id} ${named++}`;
  /** Takes up a document whose files are here. */
  const takeUp = (record: DocumentRecord, used: number) => {
    const name = nameOf(record.id);
    const entry = { record, name, session: undefined, bytes: 0, stored: true, used, users: 0 };
    entries.set(record.id, entry);
  };
  for (const record of await files?.list() ?? []) takeUp(record, record.lastUsed * 1000);

  const infoOf = ({ record, stored }: Entry): DocumentInfo => {
    const { text: _text, system: _system, fingerprint: _fingerprint, ...shown } = record;
    const { shares: _shares, ...info } = shown;
    return { ...info, stored };
  };
  const find = (id: string): Entry => {
    const found = entries.get(id);
    if (found) return found;
    throw unknownDocument(id);
  };
  const touch = (entry: Entry) => {
    entry.used = now();
    entry.record = { ...entry.record, lastUsed: seconds() };
  };
  const release = async (entry: Entry): Promise<void> => {
    const { session } = entry;
    entry.session = undefined;
    entry.bytes = 0;
    // A load that failed holds nothing.
    await (await session?.catch(() => undefined))?.[Symbol.asyncDispose]();
  };
  const forget = async (id: string): Promise<void> => {
    const entry = find(id);
    entries.delete(id);
    await files?.remove(id);
    await release(entry);
  };
  /** Keeps the folder within its bound: the documents that were used least recently go first. */
  const boundFiles = async (newest: string): Promise<void> => {
    if (!files) return;
    const stored = [...entries.values()].filter((entry) => entry.stored)
      .sort((a, b) => b.used - a.used);
    let bytes = 0;
    for (const { record: { id } } of stored) {
      bytes += await files.bytes(id);
      if (bytes > maxFileBytes && id !== newest) await forget(id);
    }
  };
  const bring = async (id: string): Promise<void> => {
    if (!files?.fetch || entries.has(id)) return;
    await inTurn(async () => {
      if (entries.has(id)) return;
      const record = await files.fetch?.(id);
      if (!record) return;
      takeUp(record, now());
      await boundFiles(id);
    });
  };
  const make = async (id: string, reading: DocumentReading, fingerprint: string) => {
    const { session, record: made } = await options.read(reading);
    return await inTurn(() => keep(id, reading, fingerprint, { session, record: made }));
  };
  const keep = async (
    id: string,
    reading: DocumentReading,
    fingerprint: string,
    { session, record: made }: ReadDocument,
  ): Promise<DocumentInfo> => {
    const { name, system } = reading;
    const record: DocumentRecord = {
      id,
      ...(name === undefined ? {} : { name }),
      ...{ model: reading.model, form: reading.form, text: reading.text, fingerprint },
      ...(system === undefined ? {} : { system }),
      created: seconds(),
      lastUsed: seconds(),
      ...made,
    };
    try {
      if (files) {
        await session.save(files.cachePath(id));
        await files.write(record);
      }
    } catch (error) {
      await files?.remove(id).catch(() => {});
      await session[Symbol.asyncDispose]();
      throw error;
    }
    const entry: Entry = {
      record,
      name: nameOf(id),
      session: Promise.resolve(session),
      bytes: session.stats().bytes.now,
      stored: files !== undefined,
      used: now(),
      users: 0,
    };
    entries.set(id, entry);
    await boundFiles(id);
    return infoOf(entry);
  };
  const inMemory = () =>
    [...entries.values()].filter(({ session, users }) => session !== undefined && users === 0);
  const oldest = (): Entry | undefined =>
    inMemory().reduce<Entry | undefined>(
      (found, entry) => found && found.used <= entry.used ? found : entry,
      undefined,
    );
  const store: DocumentStore = {
    async create(request) {
      const { form = "chat", eviction = options.eviction } = request;
      const named = await model(request.model);
      const reading: DocumentReading = { ...request, form, eviction, model: named.model };
      const id = idOf(reading, named.fingerprint);
      await bring(id);
      const known = entries.get(id);
      if (known) {
        touch(known);
        return infoOf(known);
      }
      // Whoever asks for the same one meanwhile waits for it; if its reader gives up, another reads.
      const before = making.get(id);
      if (before) return await before.catch(() => store.create(request));
      const made = make(id, reading, named.fingerprint);
      making.set(id, made);
      try {
        return await made;
      } finally {
        making.delete(id);
      }
    },
    list: () => [...entries.values()].map(infoOf).sort((a, b) => b.created - a.created),
    get: (id) => infoOf(find(id)),
    tokens: async (id) => await options.tokens(find(id).record),
    async remove(id) {
      await bring(id);
      await inTurn(async () => {
        await forget(id);
        await files?.withdraw?.(id);
      });
    },
  };
  return {
    store,
    get bytes() {
      return [...entries.values()].reduce((sum, entry) => sum + entry.bytes, 0);
    },
    get oldest() {
      return oldest()?.used ?? Infinity;
    },
    async dropOldest() {
      const entry = oldest();
      if (!entry) return;
      if (entry.stored) await release(entry);
      else await forget(entry.record.id);
    },
    async unload(name) {
      for (const entry of inMemory()) {
        if (entry.record.model !== name) continue;
        if (entry.stored) await release(entry);
        else await forget(entry.record.id);
      }
    },
    record: (id) => find(id).record,
    bring,
    async open(id, { model: name, fingerprint }, engineOf) {
      const entry = find(id);
      const { record } = entry;
      if (record.model !== name || record.fingerprint !== fingerprint) {
        throw new UnknownDocumentError(
          `The document '${id}' was read by the model '${record.model}': ask that one, or read it again`,
        );
      }
      touch(entry);
      entry.users++;
      const loading = entry.session ??= load(record, files?.cachePath(id) ?? "");
      try {
        const session = await loading;
        entry.bytes = session.stats().bytes.now;
        const engine = engineOf(entry.name);
        const own = await session.fork({ engine, policy: full(), budget: { ratio: 1 } });
        return { record, session: own };
      } catch (error) {
        if (entry.session === loading) entry.session = undefined;
        // Its files may have been removed while they were read.
        throw entries.get(id) === entry ? error : unknownDocument(id);
      } finally {
        entry.users--;
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(making.values());
      for (const entry of entries.values()) await release(entry);
    },
  };
}

function unknownDocument(id: string): UnknownDocumentError {
  return new UnknownDocumentError(`There is no document '${id}' here: read it first`);
}

/** The same for the same text that is read the same way by the same model. */
function idOf(
  { text, system, form, eviction, model }: DocumentReading,
  fingerprint: string,
): string {
  const parts = [fingerprint, model, form, system ?? null, text, eviction];
  return `doc-${createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32)}`;
}
