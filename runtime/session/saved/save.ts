import { createHash } from "node:crypto";
import type { Policy } from "../../../policies/policy.ts";
import { replaceAtomically, writeError } from "../../atomic_file.ts";
import type { Budget } from "../../evict/budget.ts";
import { globalLayersOf } from "../../cache/global_layers.ts";
import { hostCacheOf } from "../../cache/host_cache.ts";
import { hostCopy } from "../../cache/fill_host_cache.ts";
import type { HostKvCache, KvCache } from "../../cache/kv_cache.ts";
import type { CachePrecision } from "../../cache/narrow_rows.ts";
import { type SafetensorsInput, writeSafetensors } from "../../checkpoint/safetensors.ts";
import { PromptError } from "../../errors.ts";
import { FLOATS_VERSION, NARROW_VERSION, SAVED_CACHE_FORMAT } from "./header.ts";
import { narrowTensors } from "./narrow.ts";
import { mostSaved } from "./windows.ts";
import type { SavedCacheInfo } from "./info.ts";
import type { SavedCacheRecord } from "./record.ts";
import type { State } from "../state.ts";
import { windowsOf } from "../stats.ts";
import { judgeOf } from "../outcome.ts";

/** What a saved cache says of its making. */
export interface SavedCacheOrigin {
  /** Name of the model. */
  readonly name?: string | undefined;
  readonly fingerprint: string;
  readonly policy: Policy;
  readonly budget: Budget;
  /** How keys and values are written. */
  readonly cachePrecision: CachePrecision;
}

/**
 * Writes a session's state to a safetensors file, whole or not at all.
 *
 * @throws {PromptError} If nothing was read.
 * @throws {StorageError} If the file cannot be written; what it held before stays.
 */
export async function saveCache(
  path: string,
  state: State,
  origin: SavedCacheOrigin,
): Promise<SavedCacheInfo> {
  const { sequence: { cache, planned, positionMap }, pinned, outcome } = state;
  const { ids, pending, tail, transcript, answer } = state;
  if (ids.length === 0) throw new PromptError("Cannot save: nothing was read; read a prompt first");
  const { name, fingerprint, policy, budget, cachePrecision } = origin;
  const record: SavedCacheRecord = {
    model: { ...(name === undefined ? {} : { name }), fingerprint },
    policy: outcome.judge ?? judgeOf(policy, budget, false),
    planned,
    tail,
    ...(positionMap ? { shift: positionMap.shift } : {}),
    ...windowsOf(cache),
    ...softTokensOf(cache, ids.length),
    ...(pinned.length > 0 ? { spans: pinned } : {}),
    pending,
    told: transcript,
    ...(answer === undefined ? {} : { answer }),
  };
  using copy = cache.home === "host" ? undefined : await hostCopy(cache);
  using scope = new DisposableStack();
  const received: Float32Array[] = [];
  for (const rows of state.attentionSums ?? []) received.push(await rows.floats());
  const floats = tensorsOf(state, copy ?? hostCacheOf(cache), received);
  const tensors = cachePrecision === "fp32"
    ? floats
    : narrowTensors(floats, { headDim: cache.headDim, precision: cachePrecision, scope });
  const text = JSON.stringify(record);
  const metadata = {
    format: SAVED_CACHE_FORMAT,
    version: cachePrecision === "fp32" ? FLOATS_VERSION : NARROW_VERSION,
    record: text,
    sha256: digestOf(text, tensors),
  };
  try {
    await replaceAtomically(path, (temporary) => writeSafetensors(temporary, tensors, metadata));
    const { size } = await Deno.stat(path);
    return {
      path,
      bytes: size,
      precision: cachePrecision,
      record,
      tokens: ids.length + pending.length,
      kept: lengthsOf(cache),
    };
  } catch (error) {
    throw writeError(path, error);
  }
}

/** How many tokens layers that slide were given besides those of the text. */
function softTokensOf(cache: KvCache, tokens: number): Pick<SavedCacheRecord, "softTokens"> {
  const given = cache.mark().lengths.filter((_, layer) => cache.window(layer) !== undefined);
  const softTokens = Math.max(0, ...given) - tokens;
  return softTokens > 0 ? { softTokens } : {};
}

function lengthsOf(cache: KvCache): readonly (readonly number[])[] {
  return Array.from({ length: cache.layers }, (_, layer) => cache.lengths(layer));
}

function tensorsOf(
  { sequence: { positionMap }, ids, pending, logits }: State,
  cache: HostKvCache,
  received: readonly Float32Array[],
): Record<string, SafetensorsInput> {
  const { layers, kvHeads, headDim } = cache;
  const tensors: Record<string, SafetensorsInput> = {
    ids: { shape: [ids.length], data: Int32Array.from(ids) },
    ...(logits && pending.length === 0 ? { logits: { shape: [logits.length], data: logits } } : {}),
  };
  for (let layer = 0; layer < layers; layer++) {
    const length = cache.length(layer);
    const window = cache.window(layer);
    if (window !== undefined) {
      for (const [name, tensor] of slidingTensors(cache, layer, window)) tensors[name] = tensor;
      continue;
    }
    if (cache.segments(layer)) {
      for (const [name, tensor] of raggedTensors(cache, layer)) tensors[name] = tensor;
      continue;
    }
    const shape = [length, kvHeads, headDim];
    tensors[`keys.${layer}`] = { shape, data: cache.keys(layer) };
    tensors[`values.${layer}`] = { shape, data: cache.values(layer) };
    tensors[`positions.${layer}`] = { shape: [kvHeads, length], data: cache.positions(layer) };
  }
  const globals = globalLayersOf(cache);
  for (const layer of positionMap ? globals : []) {
    const heads = positionMap?.tokens[layer] ?? [];
    const data = new Int32Array(kvHeads * (positionMap?.base ?? 0));
    heads.forEach((ofHead, head) => data.set(ofHead, head * ofHead.length));
    tensors[`tokens.${layer}`] = { shape: [kvHeads, positionMap?.base ?? 0], data };
  }
  for (const [index, data] of received.entries()) {
    tensors[`received.${globals[index]}`] = { shape: [data.length], data };
  }
  return tensors;
}

/** What a sliding layer shows, and as many tokens before as can be dropped from the end once it is loaded. */
function slidingTensors(
  cache: HostKvCache,
  layer: number,
  window: number,
): readonly (readonly [name: string, tensor: SafetensorsInput])[] {
  const { kvHeads, headDim } = cache;
  const heads = cache.entries(layer, true);
  const held = heads[0]?.positions.length ?? 0;
  const length = Math.min(held, mostSaved(window));
  const [keys, values] = [0, 1].map(() => new Float32Array(length * kvHeads * headDim));
  const positions = new Int32Array(kvHeads * length);
  for (const [head, entries] of heads.entries()) {
    positions.set(entries.positions.subarray(held - length), head * length);
    for (let token = 0; token < length; token++) {
      const from = (held - length + token) * headDim;
      const to = (token * kvHeads + head) * headDim;
      keys?.set(entries.keys.subarray(from, from + headDim), to);
      values?.set(entries.values.subarray(from, from + headDim), to);
    }
  }
  const shape = [length, kvHeads, headDim];
  return [
    [`keys.${layer}`, { shape, data: keys ?? new Float32Array() }],
    [`values.${layer}`, { shape, data: values ?? new Float32Array() }],
    [`positions.${layer}`, { shape: [kvHeads, length], data: positions }],
  ];
}

/** Entries of one KV head behind those of the one before. */
function raggedTensors(
  cache: HostKvCache,
  layer: number,
): readonly (readonly [name: string, tensor: SafetensorsInput])[] {
  const { kvHeads, headDim } = cache;
  const lengths = Int32Array.from(cache.lengths(layer));
  const entries = lengths.reduce((sum, length) => sum + length, 0);
  const [keys, values] = [new Float32Array(entries * headDim), new Float32Array(entries * headDim)];
  let from = 0;
  for (let head = 0; head < kvHeads; head++) {
    const ofHead = cache.head(layer, head);
    keys.set(ofHead.keys, from * headDim);
    values.set(ofHead.values, from * headDim);
    from += ofHead.positions.length;
  }
  return [
    [`keys.${layer}`, { shape: [entries, headDim], data: keys }],
    [`values.${layer}`, { shape: [entries, headDim], data: values }],
    [`positions.${layer}`, { shape: [entries], data: cache.positions(layer) }],
    [`lengths.${layer}`, { shape: [kvHeads], data: lengths }],
  ];
}

function digestOf(record: string, tensors: Readonly<Record<string, SafetensorsInput>>): string {
  const hash = createHash("sha256").update(record);
  for (const { data } of Object.values(tensors)) {
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex");
}
