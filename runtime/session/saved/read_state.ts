import { createHash, type Hash } from "node:crypto";
import { fillHostCache } from "../../cache/fill_host_cache.ts";
import type { HostKvCache } from "../../cache/kv_cache.ts";
import type { CachePrecision } from "../../cache/narrow_rows.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import { openRange, type RangeFile } from "../../checkpoint/file_range.ts";
import type { SafetensorsHeader } from "../../checkpoint/safetensors.ts";
import { type State, stateOf } from "../state.ts";
import { globalLayers } from "../../checkpoint/layer_kinds.ts";
import { checkWindowsOf } from "./windows.ts";
import type { OpenedCache } from "./header.ts";
import { readRowsInto } from "./narrow.ts";
import { fail, readAttentionSums, readInto, readPositionMap, same } from "./parts.ts";

/**
 * Reads a session's state from a saved cache, checks every number and the digest over all.
 *
 * @throws {SavedCacheError} If something is not sound; what was read is freed then.
 */
export function readState(
  opened: OpenedCache,
  config: ModelConfig,
): State {
  const { info: { path, record, precision }, header, lengths, text, sha256 } = opened;
  const { layers, kvHeads, headDim, vocabulary, context } = config;
  const sizes = [lengths.length, opened.kvHeads, opened.headDim];
  if (!same(sizes, [layers, kvHeads, headDim])) {
    fail(path, "its layers do not have the sizes of the model");
  }
  using file = openRange(path);
  const hash = createHash("sha256").update(text);
  const ids = readInto(file, header, "ids", (count) => new Int32Array(count), hash);
  const { pending, tail, planned, shift = 0, spans = [], told, answer } = record;
  const position = ids.length - shift;
  const given = ids.length + (record.softTokens ?? 0);
  checkWindowsOf(path, record, lengths, config, given);
  const held = globalLayers(config).flatMap((layer) => lengths[layer] ?? []);
  if ([...ids, ...pending].some((id) => id < 0 || id >= vocabulary)) {
    fail(path, "it holds tokens that the model does not know");
  }
  if (
    position + pending.length > context + 1 || planned > context ||
    tail > Math.min(ids.length, ...held) || Math.max(0, ...held) > position ||
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
    readCache(path, file, header, {
      ...{ tokens: given, position, tail, config, lengths, precision, hash },
    }),
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
  { tokens, position, tail, config, lengths, precision, hash }: {
    readonly tokens: number;
    readonly position: number;
    readonly tail: number;
    readonly config: ModelConfig;
    readonly lengths: readonly (readonly number[])[];
    readonly precision: CachePrecision;
    readonly hash: Hash;
  },
): HostKvCache {
  const { layers, kvHeads, headDim, layerKinds } = config;
  const windows = layerKinds.map(({ window }) => window);
  const given = windows.map(() => tokens);
  const shape = { layers, kvHeads, headDim, windows, given };
  return fillHostCache(shape, lengths, (layer, { keys, values }) => {
    const rows = { headDim, precision, hash };
    readRowsInto(file, header, `keys.${layer}`, { ...rows, into: keys });
    readRowsInto(file, header, `values.${layer}`, { ...rows, into: values });
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
    const ofLayer = { lengths: lengths[layer] ?? [], position };
    const sound = windows[layer] === undefined
      ? arePositions(positions, { ...ofLayer, tail })
      // Nothing is missing of a window; what lies before it may have been rotated below 0.
      : arePositions(positions, { ...ofLayer, tail: Infinity }, -Infinity);
    if (!sound) {
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
  least = 0,
): boolean {
  let from = 0;
  return lengths.every((length) => {
    const ofHead = positions.subarray(from, from += length);
    return ofHead.every((at, entry) => {
      const last = entry === 0 ? least - 1 : ofHead[entry - 1] ?? -1;
      const left = length - entry;
      return at > last && at < position && (left > tail || at === position - left);
    });
  });
}
