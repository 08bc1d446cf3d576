import type { LayerView } from "../../../policies/policy.ts";
import type { HostKvCache } from "../../cache/kv_cache.ts";
import { EvidenceError, PolicyError } from "../../errors.ts";
import type { ExpectedRows, Gathered } from "../engine.ts";
import type { HostEngine } from "./host_engine.ts";
import { rowsOfHead } from "./attention_sums.ts";
import type { Rows } from "../rows.ts";

/** What an {@linkcode HostEngine} computes on behalf of policies. */
type LayerArithmetic = Pick<HostEngine, "config" | "similarity" | "outputNorms">;

/**
 * Shows a layer of a cache to a policy: where the KV heads hold different numbers of tokens, each as a
 * layer of its own.
 */
export function layerViews(
  cache: HostKvCache,
  engine: LayerArithmetic,
  layer: number,
  gathered: Gathered,
): readonly LayerView[] {
  if (!cache.segments(layer)) return [layerView(cache, engine, layer, gathered)];
  return cache.lengths(layer).map((_, head) => headView(cache, engine, layer, head, gathered));
}

/** One KV head as a layer: what its query heads paid is its attention. */
function headView(
  cache: HostKvCache,
  { config: { heads, layers }, similarity, outputNorms }: LayerArithmetic,
  layer: number,
  head: number,
  { attention, expected }: Gathered,
): LayerView {
  const { headDim, kvHeads } = cache;
  const group = heads / kvHeads;
  const { keys, values, positions } = cache.head(layer, head);
  const { length } = positions;
  const rows = async (all: Rows): Promise<Float32Array> =>
    rowsOfHead(await all.floats(), group, cache.lengths(layer), head).slice();
  return Object.freeze<LayerView>({
    ...{ layer, layers, headDim, length, positions },
    heads: group,
    kvHeads: 1,
    keys: () => settle(() => keys.slice()),
    values: () => settle(() => values.slice()),
    attention: async () => await rows(attentionOf(attention, layer)),
    groupAttention: async () =>
      groupMean(await rows(attentionOf(attention, layer)), group, 1, length),
    async expectedLogits() {
      const { mean, variance } = expectationOf(expected, layer);
      return { mean: await rows(mean), variance: await rows(variance) };
    },
    async similarity(kvHead, tokens) {
      checkTokens(kvHead, 1, "KV head");
      for (const token of tokens) checkTokens(token, length, "token");
      return await similarity(keys, kvHead, Int32Array.from(tokens), 1);
    },
    outputNorms: () => outputNorms(values, layer, head),
  });
}

/**
 * What a layer's tokens received.
 *
 * @throws {EvidenceError} If nothing was gathered.
 */
export function attentionOf(attention: Gathered["attention"], layer: number): Rows {
  const ofLayer = attention?.[layer];
  if (ofLayer) return ofLayer;
  throw new EvidenceError(
    "Cannot give attention: the policy declares evidence without queries; declare 'window', " +
      "'soft', 'accumulated' or 'given'",
  );
}

/**
 * Moments of a layer's logits.
 *
 * @throws {EvidenceError} If none were gathered.
 */
export function expectationOf(expected: Gathered["expected"], layer: number): ExpectedRows {
  const ofLayer = expected?.[layer];
  if (ofLayer) return ofLayer;
  throw new EvidenceError(
    "Cannot give expected logits: the policy declares other evidence; declare 'statistics'",
  );
}

/**
 * Shows a layer of a cache to a policy. The view is frozen and every array is a copy: a policy cannot
 * change the cache.
 */
export function layerView(
  cache: HostKvCache,
  engine: LayerArithmetic,
  layer: number,
  { attention, expected }: Gathered,
): LayerView {
  const { heads, layers } = engine.config;
  const { kvHeads, headDim } = cache;
  const length = cache.length(layer);
  const paid = () => attentionOf(attention, layer).floats();
  return Object.freeze<LayerView>({
    layer,
    layers,
    heads,
    kvHeads,
    headDim,
    length,
    positions: cache.positions(layer),
    keys: () => settle(() => cache.keys(layer).slice()),
    values: () => settle(() => cache.values(layer).slice()),
    attention: async () => (await paid()).slice(),
    groupAttention: async () => groupMean(await paid(), heads, kvHeads, length),
    async expectedLogits() {
      const { mean, variance } = expectationOf(expected, layer);
      return { mean: (await mean.floats()).slice(), variance: (await variance.floats()).slice() };
    },
    outputNorms: () => engine.outputNorms(cache.values(layer), layer),
    async similarity(kvHead, tokens) {
      checkTokens(kvHead, kvHeads, "KV head");
      for (const token of tokens) checkTokens(token, length, "token");
      return await engine.similarity(cache.keys(layer), kvHead, Int32Array.from(tokens));
    },
  });
}

/** Refuses an index that does not exist. */
export function checkTokens(index: number, count: number, what: string): void {
  if (Number.isInteger(index) && index >= 0 && index < count) return;
  throw new PolicyError(
    `Cannot compare keys: there is no ${what} ${index}, only 0 to ${count - 1}`,
  );
}

/** A promise of what `compute` gives, or of what it throws. */
function settle<T>(compute: () => T): Promise<T> {
  return new Promise((resolve) => resolve(compute()));
}

/** `[heads × length]` averaged over the query heads of each KV head, `[kvHeads × length]`. */
export function groupMean(
  attention: Float32Array,
  heads: number,
  kvHeads: number,
  length: number,
): Float32Array {
  const group = heads / kvHeads;
  const mean = new Float32Array(kvHeads * length);
  for (let head = 0; head < heads; head++) {
    const target = Math.floor(head / group) * length;
    for (let token = 0; token < length; token++) {
      const sum = mean[target + token] ?? 0;
      mean[target + token] = sum + (attention[head * length + token] ?? 0) / group;
    }
  }
  return mean;
}
