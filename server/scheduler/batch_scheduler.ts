import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import { type DocumentFiles, openDocumentFiles } from "../documents/document_files.ts";
import { type Documents, openDocuments } from "../documents/document_store.ts";
import { type Admission, createAdmission } from "./admission.ts";
import { documentReader } from "./document_reader.ts";
import { StoppingError } from "./errors.ts";
import { createEventChannel } from "./event_channel.ts";
import type { GenerationEvent } from "./events.ts";
import { createModelPool, type ModelPool, type ModelPoolOptions } from "./model_pool.ts";
import type { SchedulerOptions } from "./options.ts";
import type { GenerationRequest } from "./request.ts";
import type { Resources, RunningSession } from "./resources.ts";
import { runRequest } from "./run_request.ts";
import type { Scheduler } from "./scheduler.ts";
import { timeLimit } from "./time_limit.ts";
import { tokenOf } from "./token_of.ts";

/** Bytes of documents in a folder, unless the options say otherwise. */
const FOLDER_BYTES = 16 * 2 ** 30;

/**
 * Runs requests in this process: tokens of all answers go through the weights together, and prompts are
 * read in between, chunk by chunk.
 *
 * @throws {StorageError} If the folder of documents cannot be used (by `ready`).
 */
export function createBatchScheduler(
  options: SchedulerOptions,
  { open: openModel }: Pick<ModelPoolOptions, "open"> = {},
): Scheduler {
  const { parallel, maxQueue, cacheMemory, cacheFolder, cachePrecision = "fp32", now } = options;
  const admission: Admission = createAdmission({ parallel, maxQueue, now });
  const counted = {
    prefixQueries: 0,
    prefixHits: 0,
    promptTokens: 0,
    generationTokens: 0,
    evictions: 0,
  };
  const running = new Set<RunningSession>();
  const work = new Set<Promise<unknown>>();
  const ending = new AbortController();
  let stopping = false;
  let held: Documents | undefined;

  const pool: ModelPool = createModelPool({
    ...options,
    ...(openModel ? { open: openModel } : {}),
    onUnload: async (id) => await held?.unload(id),
  });
  const during = <T>(task: Promise<T>): Promise<T> => {
    work.add(task);
    const done = () => void work.delete(task);
    task.then(done, done);
    return task;
  };
  const cacheBytes = (): number =>
    [...running].reduce((sum, one) => sum + one.bytes(), 0) + sharedBytes();
  const sharedBytes = (): number =>
    pool.loaded().reduce((sum, { prefixes }) => sum + prefixes.bytes, held?.bytes ?? 0);
  /** Drops what was used least recently, prefixes and documents alike, until so much more fits. */
  const makeRoom = async (bytes: number): Promise<void> => {
    while (cacheBytes() + bytes > cacheMemory && sharedBytes() > 0) {
      const [stalest] = pool.loaded().map(({ prefixes }) => prefixes)
        .sort((a, b) => a.oldest - b.oldest);
      const before = sharedBytes();
      if (stalest && stalest.oldest <= (held?.oldest ?? Infinity)) {
        stalest.shrink(Math.max(0, stalest.bytes - 1));
      } else await held?.dropOldest();
      if (sharedBytes() >= before) return;
    }
  };
  const files = cacheFolder === undefined
    ? Promise.resolve(undefined)
    : openShared(cacheFolder, options.store);
  const opening = files.then(async (opened) =>
    held = await openDocuments({
      files: opened,
      maxFileBytes: options.folderBytes ?? FOLDER_BYTES,
      eviction: options.eviction,
      now,
      ...documentReader({
        pool,
        admission,
        makeRoom,
        running,
        counted,
        cachePrecision,
        timeout: options.timeout,
        ending: ending.signal,
        now,
      }),
    })
  );
  opening.catch(() => {});
  const documents = (): Documents => {
    if (held) return held;
    throw new StoppingError("The server is not ready yet: ask again in a moment");
  };
  const open = () => {
    if (stopping) throw new StoppingError("The server is about to end: ask again later");
  };
  const ready = opening.then(async () => {
    using _used = await pool.use(undefined);
  });
  ready.catch(() => {});

  async function* submit(request: GenerationRequest): AsyncGenerator<GenerationEvent, void> {
    open();
    const left = new AbortController();
    const signals = [left.signal, ending.signal, ...(request.signal ? [request.signal] : [])];
    using limit = timeLimit(request.timeout ?? options.timeout, signals);
    const channel = createEventChannel<GenerationEvent>();
    const resources: Resources = {
      ...{ pool, admission, counted, running, makeRoom, cachePrecision, now },
      documents: opening,
      signal: limit.signal,
      onEvent: channel.push,
    };
    limit.signal.addEventListener("abort", () => channel.end({ reason: limit.signal.reason }));
    if (limit.signal.aborted) channel.end({ reason: limit.signal.reason });
    const task = during(runRequest({ eviction: options.eviction, ...request }, resources));
    task.then(() => channel.end(), (reason) => channel.end({ reason }));
    try {
      yield* channel.events;
    } finally {
      left.abort(new DOMException("The client has left", "AbortError"));
    }
  }
  const withTokenizer = async <T>(
    name: string | undefined,
    use: (tokenizer: Tokenizer) => T,
  ): Promise<T> => {
    open();
    using used = await pool.use(name);
    return use(used.loaded.model.tokenizer);
  };
  return {
    models: () => pool.models(),
    submit,
    tokenize: (name, text, { special = false, bos = false } = {}) =>
      withTokenizer(
        name,
        (tokenizer) => tokenizer.encode(text, { special, bos }).map((id) => tokenOf(tokenizer, id)),
      ),
    detokenize: (name, ids) => withTokenizer(name, (tokenizer) => tokenizer.decode(ids)),
    documents: {
      async create(request) {
        open();
        const { store } = await opening;
        const made = await during(store.create(request));
        await makeRoom(0);
        return made;
      },
      list: () => documents().store.list(),
      get: (id) => documents().store.get(id),
      async tokens(id) {
        open();
        const { store } = await opening;
        return await store.tokens(id);
      },
      remove: (id) => documents().store.remove(id),
    },
    stats: () => {
      const counts = pool.loaded().map(({ turns }) => turns.counts);
      return {
        running: admission.running,
        waiting: admission.waiting,
        parallel,
        cacheBytes: cacheBytes(),
        cacheMemory,
        ...counted,
        steps: counts.reduce((sum, { steps }) => sum + steps, 0),
        stepTokens: counts.reduce((sum, { stepTokens }) => sum + stepTokens, 0),
      };
    },
    ready,
    async close({ now: atOnce } = {}) {
      stopping = true;
      const end = () => ending.abort(new StoppingError("The server ends"));
      if (atOnce?.aborted) end();
      atOnce?.addEventListener("abort", end);
      while (work.size > 0) await Promise.allSettled(work);
      await ready.catch(() => {});
      await held?.[Symbol.asyncDispose]();
      await pool[Symbol.asyncDispose]();
    },
  };
}

/** The folder of documents, shared with other servers where there is a store. */
async function openShared(folder: string, store: string | undefined): Promise<DocumentFiles> {
  const files = await openDocumentFiles(folder);
  if (store === undefined) return files;
  const { openStore } = await import("../../queue/store/open_store.ts");
  const { sharedDocumentFiles } = await import("../documents/shared_files.ts");
  return sharedDocumentFiles(files, await openStore(store));
}
