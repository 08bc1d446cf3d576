import type { LayerView } from "../../../policies/policy.ts";
import type { HostKvCache } from "../../cache/kv_cache.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import type { Gathered } from "../engine.ts";
import { rowsOfHead } from "../packed_rows.ts";
import {
  attentionOf,
  checkTokens,
  draftAttentionOf,
  expectationOf,
  globalPlace,
  groupMean,
  wantedByHead,
  type WantedOfHead,
} from "../view_parts.ts";
import type { Rows } from "../rows.ts";

/** What is computed on behalf of policies. */
export interface LayerArithmetic {
  /** Sizes and settings of the model. */
  readonly config: ModelConfig;
  /**
   * Cosines between the keys of some tokens and those of all, `[tokens, length]`.
   *
   * @param keys Keys of one layer, `[length, kvHeads · headDim]`.
   * @param count KV heads that the keys are of. @default {all of the model}
   */
  similarity(
    keys: Float32Array,
    kvHead: number,
    tokens: Int32Array,
    count?: number,
  ): Promise<Float32Array>;
  /**
   * How far values of a layer can move its output, `[heads, tokens]`.
   *
   * @param values `[tokens, kvHeads · headDim]`, or `[tokens, headDim]` of one KV head.
   * @param kvHead That head. @default {all of them}
   */
  outputNorms(values: Float32Array, layer: number, kvHead?: number): Promise<Float32Array>;
  /**
   * The same of those tokens of a KV head whose norms are wanted, `[tokens]`; 0 for the others.
   *
   * @param values `[tokens, headDim]`.
   */
  bestOutputNorms(
    values: Float32Array,
    place: { readonly layer: number; readonly kvHead: number },
    wanted: WantedOfHead,
  ): Promise<Float32Array>;
}

/**
 * Shows a layer of a cache to a policy: where the KV heads hold different numbers of tokens, each as a
 * layer of its own.
 */
export function hostViews(
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
  { config, similarity, outputNorms, bestOutputNorms }: LayerArithmetic,
  layer: number,
  head: number,
  { attention, draft, expected }: Gathered,
): LayerView {
  const { heads } = config;
  const { headDim, kvHeads } = cache;
  const place = globalPlace(config, layer);
  const group = heads / kvHeads;
  const { keys, values, positions } = cache.head(layer, head);
  const { length } = positions;
  const rows = async (all: Rows): Promise<Float32Array> =>
    rowsOfHead(await all.floats(), group, cache.lengths(layer), head).slice();
  return Object.freeze<LayerView>({
    ...{ ...place, headDim, length, positions },
    heads: group,
    kvHeads: 1,
    firstHead: head,
    keys: () => settle(() => keys.slice()),
    values: () => settle(() => values.slice()),
    attention: async () => await rows(attentionOf(attention, place.layer)),
    groupAttention: async () =>
      groupMean(await rows(attentionOf(attention, place.layer)), group, 1, length),
    draftAttention: async () => await rows(draftAttentionOf(draft, place.layer)),
    async expectedLogits() {
      const { mean, variance } = expectationOf(expected, place.layer);
      return { mean: await rows(mean), variance: await rows(variance) };
    },
    async similarity(kvHead, tokens) {
      checkTokens(kvHead, 1, "KV head");
      for (const token of tokens) checkTokens(token, length, "token");
      return await similarity(keys, kvHead, Int32Array.from(tokens), 1);
    },
    async outputNorms(wanted) {
      if (!wanted) return await outputNorms(values, layer, head);
      const [of = { weights: new Float32Array(), count: 0 }] = wantedByHead(wanted, 1, length);
      return await bestOutputNorms(values, { layer, kvHead: head }, of);
    },
  });
}

/**
 * Shows a layer of a cache to a policy. The view is frozen and every array is a copy: a policy cannot
 * change the cache.
 */
export function layerView(
  cache: HostKvCache,
  engine: LayerArithmetic,
  layer: number,
  { attention, draft, expected }: Gathered,
): LayerView {
  const { heads } = engine.config;
  const place = globalPlace(engine.config, layer);
  const { kvHeads, headDim } = cache;
  const length = cache.length(layer);
  const paid = () => attentionOf(attention, place.layer).floats();
  return Object.freeze<LayerView>({
    ...place,
    heads,
    kvHeads,
    firstHead: 0,
    headDim,
    length,
    positions: cache.positions(layer),
    keys: () => settle(() => cache.keys(layer).slice()),
    values: () => settle(() => cache.values(layer).slice()),
    attention: async () => (await paid()).slice(),
    groupAttention: async () => groupMean(await paid(), heads, kvHeads, length),
    draftAttention: async () => (await draftAttentionOf(draft, place.layer).floats()).slice(),
    async expectedLogits() {
      const { mean, variance } = expectationOf(expected, place.layer);
      return { mean: (await mean.floats()).slice(), variance: (await variance.floats()).slice() };
    },
    async outputNorms(wanted) {
      if (!wanted) return await engine.outputNorms(cache.values(layer), layer);
      const norms = new Float32Array(kvHeads * length);
      for (const [kvHead, of] of wantedByHead(wanted, kvHeads, length).entries()) {
        const { values } = cache.head(layer, kvHead);
        norms.set(await engine.bestOutputNorms(values, { layer, kvHead }, of), kvHead * length);
      }
      return norms;
    },
    async similarity(kvHead, tokens) {
      checkTokens(kvHead, kvHeads, "KV head");
      for (const token of tokens) checkTokens(token, length, "token");
      return await engine.similarity(cache.keys(layer), kvHead, Int32Array.from(tokens));
    },
  });
}

/** A promise of what `compute` gives, or of what it throws. */
function settle<T>(compute: () => T): Promise<T> {
  return new Promise((resolve) => resolve(compute()));
}
