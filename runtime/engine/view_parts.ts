import type { WantedNorms } from "../../policies/policy.ts";
import { EvidenceError, PolicyError } from "../errors.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import { globalLayers } from "../checkpoint/layer_kinds.ts";
import type { ExpectedRows, Gathered } from "./engine.ts";
import type { Rows } from "./rows.ts";

/**
 * Where a layer stands among those that policies see: the global ones.
 *
 * @param layer Its number among all layers.
 * @throws {RangeError} If it slides: nothing is ever evicted from it.
 */
export function globalPlace(
  config: Pick<ModelConfig, "layerKinds">,
  layer: number,
): { readonly layer: number; readonly layers: number } {
  const globals = globalLayers(config);
  const place = globals.indexOf(layer);
  if (place >= 0) return { layer: place, layers: globals.length };
  throw new RangeError(`Cannot show layer ${layer} to a policy: it is no global layer`);
}

/**
 * What a layer's tokens received.
 *
 * @param layer Its number among the global layers.
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
 * What a layer's tokens received from a draft.
 *
 * @throws {EvidenceError} If none was decoded.
 */
export function draftAttentionOf(draft: Gathered["draft"], layer: number): Rows {
  const ofLayer = draft?.[layer];
  if (ofLayer) return ofLayer;
  throw new EvidenceError(
    "Cannot give the attention of a draft: the policy declares evidence without one; declare 'soft' " +
      "with 'draft'",
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

/** Refuses an index that does not exist. */
export function checkTokens(index: number, count: number, what: string): void {
  if (Number.isInteger(index) && index >= 0 && index < count) return;
  throw new PolicyError(
    `Cannot compare keys: there is no ${what} ${index}, only 0 to ${count - 1}`,
  );
}

/** Norms that are wanted of one KV head. */
export interface WantedOfHead {
  /** What each norm is multiplied with, `[length]`. */
  readonly weights: Float32Array;
  /** How many of the largest products must be known. */
  readonly count: number;
}

/**
 * Norms that are wanted, head by head.
 *
 * @throws {PolicyError} If there is not a weight for each token and a count for each head.
 */
export function wantedByHead(
  { weights, counts }: WantedNorms,
  kvHeads: number,
  length: number,
): readonly WantedOfHead[] {
  const fits = weights instanceof Float32Array && weights.length === kvHeads * length &&
    Array.isArray(counts) && counts.length === kvHeads &&
    counts.every((count) => Number.isInteger(count) && count >= 0);
  if (!fits) {
    throw new PolicyError(
      `Cannot give the output norms that are wanted: 'weights' must be a Float32Array of ` +
        `${kvHeads} × ${length} numbers and 'counts' ${kvHeads} integers of at least 0`,
    );
  }
  return counts.map((count, head) => ({
    weights: weights.subarray(head * length, (head + 1) * length),
    count,
  }));
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
