import type { ExpectedLogits, LayerView } from "../../policies/policy.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import { EvidenceError, PolicyError } from "../errors.ts";
import type { Engine } from "./engine.ts";
import type { Gathered } from "./evidence.ts";

/**
 * Shows a layer of a cache to a policy. The view is frozen and every array is a copy: a policy cannot
 * change the cache.
 */
export function layerView(
  cache: KvCache,
  engine: Pick<Engine, "config" | "similarity">,
  layer: number,
  { attention, expected }: Gathered,
): LayerView {
  const { heads, layers } = engine.config;
  const { kvHeads, headDim } = cache;
  const length = cache.length(layer);
  const gathered = (): Float32Array => {
    const ofLayer = attention?.[layer];
    if (ofLayer) return ofLayer;
    throw new EvidenceError(
      "Cannot give attention: the policy declares evidence without queries; declare 'window', " +
        "'soft', 'accumulated' or 'given'",
    );
  };
  const expectation = (): ExpectedLogits => {
    const ofLayer = expected?.[layer];
    if (ofLayer) return { mean: ofLayer.mean.slice(), variance: ofLayer.variance.slice() };
    throw new EvidenceError(
      "Cannot give expected logits: the policy declares other evidence; declare 'statistics'",
    );
  };
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
    attention: () => settle(() => gathered().slice()),
    groupAttention: () => settle(() => groupMean(gathered(), heads, kvHeads, length)),
    expectedLogits: () => settle(expectation),
    async similarity(kvHead, tokens) {
      checkTokens(kvHead, kvHeads, "KV head");
      for (const token of tokens) checkTokens(token, length, "token");
      return await engine.similarity(cache.keys(layer), kvHead, Int32Array.from(tokens));
    },
  });
}

function checkTokens(index: number, count: number, what: string): void {
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
