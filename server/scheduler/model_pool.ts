import { MAX_SEQUENCES } from "../../kernels/sequence_attention.ts";
import { resolveModel } from "../../runtime/models/resolve_model.ts";
import { homeFolder } from "../../runtime/models/home.ts";
import { loadModel, type LoadOptions, type Model } from "../../runtime/model.ts";
import { KvjudgeError } from "../../runtime/errors.ts";
import { answerOpening } from "../prompt/answer_opening.ts";
import { ModelLoadError, UnknownModelError } from "./errors.ts";
import { oneByOne } from "./one_by_one.ts";
import type { SchedulerOptions } from "./options.ts";
import { createPrefixCache, type PrefixCache } from "./prefix_cache.ts";
import type { ServedModel, ServedModelFacts } from "./scheduler.ts";
import { createTurns, type Turns } from "./turns.ts";

/** A model in memory, and what its requests share. */
export interface LoadedModel {
  readonly id: string;
  readonly model: Model;
  readonly turns: Turns;
  readonly prefixes: PrefixCache;
  readonly facts: ServedModelFacts;
  /** What stands between a user's message and the answer to it. */
  readonly opening: readonly number[];
}

/** A model that is not unloaded until this is disposed of. */
export interface UsedModel extends Disposable {
  readonly loaded: LoadedModel;
}

/** Models that are loaded when they are asked for, and unloaded by need. Owns them. */
export interface ModelPool extends AsyncDisposable {
  models(): readonly ServedModel[];
  /** Those in memory. */
  loaded(): readonly LoadedModel[];
  /**
   * Loads a model if need be.
   *
   * @param name The default one if absent.
   * @throws {UnknownModelError} If there is none of that name.
   * @throws {ModelLoadError} If it cannot be loaded.
   */
  use(name: string | undefined): Promise<UsedModel>;
}

interface Entry {
  readonly id: string;
  readonly source: string;
  users: number;
  used: number;
  bytes: number;
  loading: Promise<LoadedModel> | undefined;
  loaded: LoadedModel | undefined;
  facts: ServedModelFacts | undefined;
}

/** What a pool asks of who uses it. */
export interface ModelPoolOptions extends
  Pick<
    SchedulerOptions,
    "models" | "load" | "parallel" | "modelMemory" | "now" | "log"
  > {
  /** Runs before a model is unloaded: what its memory holds must go. */
  readonly onUnload: (id: string) => Promise<void>;
  /** @default {the library's `loadModel`} */
  readonly open?: (source: string, options: LoadOptions) => Promise<Model>;
}

/** A pool of models. Nothing is loaded yet. */
export function createModelPool(options: ModelPoolOptions): ModelPool {
  const { models, load, parallel, modelMemory = Infinity, now, log, onUnload } = options;
  const { open: openModel = loadModel } = options;
  const created = Math.floor(now() / 1000);
  const entries = models.map(({ id, source }): Entry => ({
    ...{ id, source, users: 0, used: 0, bytes: 0 },
    loading: undefined,
    loaded: undefined,
    facts: undefined,
  }));
  // One model is loaded after the other, so that each sees what room the others leave.
  const inTurn = oneByOne();

  const named = (name: string | undefined): Entry => {
    const [first] = entries;
    const found = name === undefined ? first : entries.find(({ id }) => id === name);
    if (found) return found;
    const names = entries.map(({ id }) => id).join(", ");
    throw new UnknownModelError(`There is no model '${name}' here: use one of ${names}`);
  };
  const unload = async (entry: Entry): Promise<void> => {
    const { loaded } = entry;
    entry.loading = entry.loaded = undefined;
    if (!loaded) return;
    await onUnload(entry.id);
    loaded.prefixes.shrink(0);
    await loaded.model[Symbol.asyncDispose]();
    log(`unloaded ${entry.id}`);
  };
  const makeRoom = async (wanted: number): Promise<void> => {
    for (;;) {
      const held = entries.filter(({ loaded }) => loaded);
      const bytes = held.reduce((sum, one) => sum + one.bytes, 0);
      if (bytes + wanted <= modelMemory) return;
      const [oldest] = held.filter(({ users }) => users === 0).sort((a, b) => a.used - b.used);
      // What is in use stays: memory is short for as long as both are asked for.
      if (!oldest) return;
      await unload(oldest);
    }
  };
  const open = async (entry: Entry): Promise<LoadedModel> => {
    const started = now();
    try {
      const home = load.home ?? homeFolder();
      entry.bytes = await sizeOf(await resolveModel(entry.source, { home }));
      await makeRoom(entry.bytes);
      const sequences = Math.min(parallel, MAX_SEQUENCES);
      const model = await openModel(entry.source, { ...load, sequences });
      const loaded: LoadedModel = {
        id: entry.id,
        model,
        turns: createTurns(model.engine, parallel, now),
        prefixes: createPrefixCache(now),
        facts: await factsOf(model),
        opening: answerOpening(model.tokenizer),
      };
      log(`loaded ${entry.id} in ${((now() - started) / 1000).toFixed(1)} s`);
      entry.facts = loaded.facts;
      return entry.loaded = loaded;
    } catch (error) {
      entry.loading = undefined;
      if (!(error instanceof KvjudgeError)) throw error;
      throw new ModelLoadError(`Cannot load the model '${entry.id}': ${error.message}`, {
        cause: error,
      });
    }
  };
  return {
    models: () =>
      entries.map(({ id, loaded, facts }) => ({
        ...{ id, created, loaded: loaded !== undefined },
        ...(facts ? { facts } : {}),
      })),
    loaded: () => entries.flatMap(({ loaded }) => loaded ? [loaded] : []),
    async use(name) {
      const entry = named(name);
      entry.users++;
      let over = false;
      const end = () => {
        if (!over) entry.users--;
        over = true;
      };
      try {
        const loaded = await (entry.loading ??= inTurn(() => open(entry)));
        entry.used = now();
        return { loaded, [Symbol.dispose]: end };
      } catch (error) {
        end();
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      await inTurn(async () => {
        for (const entry of entries) await unload(entry);
      });
    },
  };
}

async function factsOf(model: Model): Promise<ServedModelFacts> {
  const { config, tokenizer, precision } = model;
  const { bosId } = tokenizer;
  return {
    context: config.context,
    vocabulary: config.vocabulary,
    layers: config.layers,
    kvHeads: config.kvHeads,
    headDim: config.headDim,
    family: config.family,
    precision,
    fingerprint: await model.fingerprint(),
    hasChatTemplate: tokenizer.hasChatTemplate,
    eosIds: [...new Set([...config.eosIds, ...tokenizer.eosIds])],
    ...(bosId === undefined ? {} : { bosId }),
  };
}

/** Bytes of a model's files. */
async function sizeOf(path: string): Promise<number> {
  const { isFile, size } = await Deno.stat(path);
  if (isFile) return size;
  let bytes = 0;
  for await (const { name, isFile } of Deno.readDir(path)) {
    if (isFile) bytes += (await Deno.stat(`${path}/${name}`)).size;
  }
  return bytes;
}
