import type { Hash } from "node:crypto";
import { globalLayersOf } from "../../cache/global_layers.ts";
import type { HostKvCache } from "../../cache/kv_cache.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import type { RangeFile } from "../../checkpoint/file_range.ts";
import type { SafetensorsHeader } from "../../checkpoint/safetensors.ts";
import { hostRows } from "../../engine/host/host_rows.ts";
import type { AttentionSums } from "../../evidence/accumulated.ts";
import { type PositionMap, SOFT_TOKEN, tokenOf } from "../../rotary/position_map.ts";
import { CheckpointError, SavedCacheError } from "../../errors.ts";

/** Sizes of one layer. */
export interface LayerSizes {
  readonly lengths: readonly number[];
  readonly headDim: number;
  readonly fits: boolean;
}

/** Refuses a file that is not sound. */
export function fail(path: string, problem: string): never {
  throw new SavedCacheError(`Cannot load ${path}: ${problem}; save it again`);
}

/** Shape of a tensor of some type. */
export function shapeOf(
  path: string,
  { tensors }: SafetensorsHeader,
  name: string,
  dtype: string,
  dimensions: number,
): readonly number[] {
  const entry = tensors.get(name);
  if (entry?.dtype === dtype && entry.shape.length === dimensions) return entry.shape;
  return fail(path, `its tensor "${name}" is missing or of the wrong type`);
}

/** Whether two lists of sizes are the same. */
export function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, index) => size === b[index]);
}

/** Reads a tensor, and adds it to a digest. */
export function readInto<
  Data extends Float32Array | Int32Array | Float16Array | Int8Array | Uint16Array,
>(
  file: RangeFile,
  { tensors }: SafetensorsHeader,
  name: string,
  space: (elements: number) => Data,
  hash: Hash,
): Data {
  const entry = tensors.get(name);
  if (!entry) throw new CheckpointError(`Cannot read ${file.path}: it has no tensor "${name}"`);
  const data = space(entry.shape.reduce((product, size) => product * size, 1));
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  file.read(bytes, entry.offset);
  hash.update(bytes);
  return data;
}

/** Which tokens of the text the entries are, where their keys were rerotated to other positions. */
export function readPositionMap(
  path: string,
  file: RangeFile,
  header: SafetensorsHeader,
  { cache, shift, hash }: {
    readonly cache: HostKvCache;
    readonly shift: number;
    readonly hash: Hash;
  },
): PositionMap | undefined {
  const globals = globalLayersOf(cache);
  if (!globals.some((layer) => header.tensors.has(`tokens.${layer}`))) {
    if (shift === 0) return undefined;
    // Nobody asks which tokens windows hold.
    if (globals.length === 0) {
      return { base: 0, shift, tokens: Array.from({ length: cache.layers }, () => []) };
    }
    return fail(path, "it does not say which tokens its entries are");
  }
  let base = 0;
  const tokens = Array.from({ length: cache.layers }, (_, layer) => {
    if (cache.window(layer) !== undefined) return [];
    const [heads, columns = 0] = shapeOf(path, header, `tokens.${layer}`, "I32", 2);
    if (layer === globals[0]) base = columns;
    const all = readInto(file, header, `tokens.${layer}`, (count) => new Int32Array(count), hash);
    const ofHeads = Array.from(
      { length: cache.kvHeads },
      (_, head) => all.subarray(head * columns, (head + 1) * columns),
    );
    const sound = heads === cache.kvHeads && columns === base &&
      ofHeads.every((ofHead) => areTokens(ofHead, base + shift));
    if (sound) return ofHeads;
    return fail(path, `the tokens of its layer ${layer} are out of order`);
  });
  const positionMap = { base, shift, tokens };
  const known = tokens.every((ofHeads, layer) =>
    ofHeads.every((_, head) =>
      cache.head(layer, head).positions.every((at) => tokenOf(positionMap, layer, head, at) !== -1)
    )
  );
  if (known) return positionMap;
  return fail(path, "its positions do not fit its tokens");
}

/** Whether token numbers ascend, those that are none left out. */
function areTokens(tokens: Int32Array, end: number): boolean {
  let last = -1;
  return tokens.every((token) => {
    if (token === -1 || token === SOFT_TOKEN) return true;
    const sound = token > last && token < end;
    last = token;
    return sound;
  });
}

/** Attention of each query head to what its KV head holds before the tail. */
export function readAttentionSums(
  path: string,
  file: RangeFile,
  header: SafetensorsHeader,
  { config: { heads, kvHeads }, cache, tail, hash }: {
    readonly config: ModelConfig;
    readonly cache: HostKvCache;
    readonly tail: number;
    readonly hash: Hash;
  },
): AttentionSums | undefined {
  const globals = globalLayersOf(cache);
  if (!globals.some((layer) => header.tensors.has(`received.${layer}`))) return undefined;
  return globals.map((layer) => {
    const name = `received.${layer}`;
    shapeOf(path, header, name, "F32", 1);
    const sums = readInto(file, header, name, (count) => new Float32Array(count), hash);
    const lengths = cache.lengths(layer);
    const held = lengths.reduce((sum, length) => sum + length, 0);
    const group = heads / kvHeads;
    // Scores that were predicted reach into the tail. All heads have got the same number of tokens since.
    const since = (held - sums.length / group) / kvHeads;
    const fits = Number.isInteger(since) && since >= 0 && since <= tail;
    if (fits && !sums.some(Number.isNaN)) {
      return hostRows(sums, lengths.map((length) => length - since), group);
    }
    return fail(path, `the attention of its layer ${layer} does not fit`);
  });
}
