import { createHash, type Hash } from "node:crypto";
import { fillHostCache } from "../../cache/fill_host_cache.ts";
import type { HostKvCache } from "../../cache/kv_cache.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import { openRange, type RangeFile } from "../../checkpoint/file_range.ts";
import { readSafetensors, type SafetensorsHeader } from "../../checkpoint/safetensors.ts";
import { CheckpointError, SavedCacheError } from "../../errors.ts";
import { demand } from "../../schema.ts";
import { fail, readAttentionSums, readInto, readPositionMap, same, shapeOf } from "./parts.ts";
import type { SavedCacheInfo } from "./info.ts";
import { parseRecord } from "./record.ts";
import { type State, stateOf } from "../state.ts";
import { loadedOutcome } from "../outcome.ts";

/** Marks a safetensors file as a saved cache. */
export const SAVED_CACHE_FORMAT = "kvjudge.saved_cache";

/** Version of the format that is written, and the only one that is read. */
export const SAVED_CACHE_VERSION = "1";

/** The model that a saved cache must fit. */
export interface SavedCacheModel {
  readonly config: ModelConfig;
  readonly fingerprint: string;
}

/**
 * Reads a saved cache.
 *
 * @throws {SavedCacheError} If the file is missing or damaged, or was saved with another model.
 */
export function readSavedCache(
  path: string,
  model: SavedCacheModel,
): { readonly state: State; readonly info: SavedCacheInfo } {
  return reading(path, () => {
    const opened = open(path);
    const { info, header } = opened;
    checkModel(info, model);
    using file = openRange(path);
    const state = readState(opened, file, header, model.config);
    state.outcome = loadedOutcome(info, state.sequence.cache.bytes);
    return { state, info };
  });
}

/**
 * Tells what a saved cache holds, without its numbers and without a look at whether they are whole.
 *
 * @throws {SavedCacheError} If the file is missing or is no saved cache.
 *
 * @example
 * ```ts
 * import { loadModel } from "../../model.ts";
 * import { readSavedCacheInfo } from "./file.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const path = new URL("../../../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * const folder = await Deno.makeTempDir();
 * await using model = await loadModel(path, { precision: "fp32" });
 * const policy = {
 *   name: "latest",
 *   evidence: { kind: "none" },
 *   score: ({ positions }: { readonly positions: Int32Array }) => Float32Array.from(positions),
 * } as const;
 * await using session = model.session({ policy, budget: 16 });
 * await session.read({ ids: Array.from({ length: 40 }, (_, index) => index + 2) });
 * await session.save(`${folder}/document.kvcache`);
 * assertEquals(readSavedCacheInfo(`${folder}/document.kvcache`).tokens, 40);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export function readSavedCacheInfo(path: string): SavedCacheInfo {
  return reading(path, () => open(path).info);
}

/** Whether a file is a saved cache, sound or not. */
export function isSavedCache(path: string): boolean {
  try {
    return readSafetensors(path).metadata.format === SAVED_CACHE_FORMAT;
  } catch (error) {
    if (error instanceof CheckpointError) return false;
    throw error;
  }
}

interface Opened {
  readonly info: SavedCacheInfo;
  readonly header: SafetensorsHeader;
  /** Tokens of each KV head, `[layer][KV head]`. */
  readonly lengths: readonly (readonly number[])[];
  readonly kvHeads: number;
  readonly headDim: number;
  /** The record as it is written, and the digest over it and all numbers. */
  readonly text: string;
  readonly sha256: string;
}

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    const reason = error.message.replace(/^Cannot read .*? as safetensors: /, "")
      .replace(/; fetch.*$|\.$/, "");
    throw new SavedCacheError(`Cannot load a saved cache from ${path}: ${reason}`, {
      cause: error,
    });
  }
}

function open(path: string): Opened {
  const header = readSafetensors(path);
  const { format, version, record: text = "", sha256 = "" } = header.metadata;
  if (format !== SAVED_CACHE_FORMAT) {
    throw new SavedCacheError(
      `Cannot load ${path}: it is no saved cache but another safetensors file; give one that ` +
        "session.save() wrote",
    );
  }
  if (version !== SAVED_CACHE_VERSION) {
    fail(
      path,
      `it has version ${version} of the format, this kvjudge reads ${SAVED_CACHE_VERSION}`,
    );
  }
  const record = demand(
    parseRecord(text),
    (problem) => fail(path, `its record is broken: ${problem}`),
  );
  const { lengths, kvHeads, headDim } = layersOf(path, header);
  const tokens = shapeOf(path, header, "ids", "I32", 1)[0] ?? 0;
  const { size } = Deno.statSync(path);
  return {
    info: {
      path,
      bytes: size,
      tokens: tokens + record.pending.length,
      kept: lengths,
      record,
    },
    header,
    lengths,
    kvHeads,
    headDim,
    text,
    sha256,
  };
}

/** Sizes of the layers; every tensor is checked against them. */
function layersOf(path: string, header: SafetensorsHeader) {
  const lengths: (readonly number[])[] = [];
  let [kvHeads, headDim] = [0, 0];
  let tensors = 1 + (header.tensors.has("logits") ? 1 : 0);
  while (header.tensors.has(`keys.${lengths.length}`)) {
    const layer = lengths.length;
    const ragged = header.tensors.has(`lengths.${layer}`);
    const found = ragged ? raggedLengths(path, header, layer) : uniformLengths(path, header, layer);
    if (layer === 0) [kvHeads, headDim] = [found.lengths.length, found.headDim];
    const fits = found.fits && found.lengths.length === kvHeads && found.headDim === headDim;
    if (!fits || found.lengths.some((length) => length < 1)) {
      fail(path, `the sizes of its layer ${layer} do not fit together`);
    }
    lengths.push(found.lengths);
    tensors += (ragged ? 4 : 3) + (header.tensors.has(`received.${layer}`) ? 1 : 0) +
      (header.tensors.has(`tokens.${layer}`) ? 1 : 0);
  }
  if (lengths.length === 0 || header.tensors.size !== tensors) {
    fail(path, "it does not hold the layers of a cache and nothing else");
  }
  return { lengths, kvHeads, headDim };
}

interface LayerSizes {
  readonly lengths: readonly number[];
  readonly headDim: number;
  readonly fits: boolean;
}

function uniformLengths(path: string, header: SafetensorsHeader, layer: number): LayerSizes {
  const keys = shapeOf(path, header, `keys.${layer}`, "F32", 3);
  const values = shapeOf(path, header, `values.${layer}`, "F32", 3);
  const positions = shapeOf(path, header, `positions.${layer}`, "I32", 2);
  const [length = 0, kvHeads = 0, headDim = 0] = keys;
  return {
    lengths: new Array<number>(kvHeads).fill(length),
    headDim,
    fits: same(values, keys) && same(positions, [kvHeads, length]),
  };
}

function raggedLengths(path: string, header: SafetensorsHeader, layer: number): LayerSizes {
  const keys = shapeOf(path, header, `keys.${layer}`, "F32", 2);
  const values = shapeOf(path, header, `values.${layer}`, "F32", 2);
  const positions = shapeOf(path, header, `positions.${layer}`, "I32", 1);
  const [heads = 0] = shapeOf(path, header, `lengths.${layer}`, "I32", 1);
  using file = openRange(path);
  const space = new Int32Array(Math.min(heads, MAX_HEADS));
  const entry = header.tensors.get(`lengths.${layer}`);
  if (entry) file.read(new Uint8Array(space.buffer), entry.offset);
  const lengths = Array.from(space);
  const [entries = 0, headDim = 0] = keys;
  return {
    lengths,
    headDim,
    fits: same(values, keys) && same(positions, [entries]) &&
      lengths.reduce((sum, length) => sum + length, 0) === entries,
  };
}

/** More KV heads than any model has: a damaged file must not fill memory. */
const MAX_HEADS = 4096;

function checkModel(
  { path, record: { model } }: SavedCacheInfo,
  { fingerprint }: SavedCacheModel,
): void {
  if (model.fingerprint === fingerprint) return;
  throw new SavedCacheError(
    `Cannot load ${path}: it was saved with the model ${model.name ?? "of another name"} ` +
      `(fingerprint ${model.fingerprint.slice(0, 12)}…), this one has fingerprint ` +
      `${fingerprint.slice(0, 12)}…; load it with the model file that it was saved with`,
  );
}

function readState(
  { info: { path, record }, text, sha256, ...opened }: Opened,
  file: RangeFile,
  header: SafetensorsHeader,
  config: ModelConfig,
): State {
  const { layers, kvHeads, headDim, vocabulary, context } = config;
  const { lengths } = opened;
  const sizes = [lengths.length, opened.kvHeads, opened.headDim];
  if (!same(sizes, [layers, kvHeads, headDim])) {
    fail(path, "its layers do not have the sizes of the model");
  }
  const hash = createHash("sha256").update(text);
  const ids = readInto(file, header, "ids", (count) => new Int32Array(count), hash);
  const { pending, tail, planned, shift = 0, spans = [], told, answer } = record;
  const position = ids.length - shift;
  if ([...ids, ...pending].some((id) => id < 0 || id >= vocabulary)) {
    fail(path, "it holds tokens that the model does not know");
  }
  if (
    position + pending.length > context + 1 || planned > context ||
    tail > Math.min(...lengths.flat()) ||
    Math.max(...lengths.flat()) > position || pending.length > position ||
    (spans.at(-1)?.to ?? 0) > ids.length + pending.length
  ) fail(path, "its positions do not fit together");
  const logits = header.tensors.has("logits")
    ? readInto(file, header, "logits", (count) => new Float32Array(count), hash)
    : undefined;
  if ((logits === undefined) !== (pending.length > 0) || (logits && logits.length !== vocabulary)) {
    fail(path, "its logits are not those of its last token");
  }
  using reading = new DisposableStack();
  const cache = reading.use(
    readCache(path, file, header, { position, tail, config, lengths, hash }),
  );
  const positionMap = readPositionMap(path, file, header, { cache, shift, hash });
  const attentionSums = readAttentionSums(path, file, header, { config, cache, tail, hash });
  if (hash.digest("hex") !== sha256) {
    fail(path, "it is damaged: its numbers are not those that were saved");
  }
  // All is sound: the cache is the state's from now on.
  reading.move();
  return {
    ...stateOf({ cache, position, planned, positionMap }),
    pinned: spans,
    ids: Array.from(ids),
    pending,
    logits,
    tail,
    attentionSums,
    transcript: told,
    answer,
  };
}

function readCache(
  path: string,
  file: RangeFile,
  header: SafetensorsHeader,
  { position, tail, config, lengths, hash }: {
    readonly position: number;
    readonly tail: number;
    readonly config: ModelConfig;
    readonly lengths: readonly (readonly number[])[];
    readonly hash: Hash;
  },
): HostKvCache {
  const { layers, kvHeads, headDim } = config;
  return fillHostCache({ layers, kvHeads, headDim }, lengths, (layer, { keys, values }) => {
    readInto(file, header, `keys.${layer}`, () => keys, hash);
    readInto(file, header, `values.${layer}`, () => values, hash);
    const positions = readInto(
      file,
      header,
      `positions.${layer}`,
      (count) => new Int32Array(count),
      hash,
    );
    if (!keys.every(Number.isFinite) || !values.every(Number.isFinite)) {
      fail(path, `some numbers of its layer ${layer} are not finite`);
    }
    if (!arePositions(positions, { lengths: lengths[layer] ?? [], position, tail })) {
      fail(path, `the positions of its layer ${layer} are out of order`);
    }
    if (header.tensors.has(`lengths.${layer}`)) {
      readInto(file, header, `lengths.${layer}`, (count) => new Int32Array(count), hash);
    }
    return positions;
  });
}

/** Whether positions ascend in each head and end with those of the tail. */
function arePositions(
  positions: Int32Array,
  { lengths, position, tail }: {
    readonly lengths: readonly number[];
    readonly position: number;
    readonly tail: number;
  },
): boolean {
  let from = 0;
  return lengths.every((length) => {
    const ofHead = positions.subarray(from, from += length);
    return ofHead.every((at, entry) => {
      const last = entry === 0 ? -1 : ofHead[entry - 1] ?? -1;
      const left = length - entry;
      return at > last && at < position && (left > tail || at === position - left);
    });
  });
}
