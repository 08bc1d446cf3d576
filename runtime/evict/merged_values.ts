import type { LayerView, Merging } from "../../policies/policy.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import type { Engine, ValuesToWrite } from "../engine/engine.ts";

/** Dropped tokens whose cosines are asked for at a time. */
const TOKENS = 256;

/** Keeps values without length from dividing by nothing. */
const EPSILON = 1e-6;

/** Merges values of a layer that is about to be compacted, where they lie. */
export async function mergeLayer(
  { engine, cache, layer }: {
    readonly engine: Pick<Engine, "views" | "mergedValues">;
    readonly cache: KvCache;
    readonly layer: number;
  },
  kept: readonly Int32Array[],
  merging: Merging,
): Promise<ValuesToWrite> {
  if (cache.home === "device") {
    if (!engine.mergedValues) throw new TypeError("Cannot merge values of another engine's cache");
    return await engine.mergedValues(cache, layer, kept, merging);
  }
  const values = await mergedValues(engine.views(cache, layer, {}), kept, merging);
  return { write: () => cache.setValues(layer, values), [Symbol.dispose]() {} };
}

/**
 * Values of the kept tokens of a layer once those of the dropped ones have gone into them, `[kept, headDim]`
 * of each KV head.
 *
 * @param views The layer, or each of its KV heads.
 * @param kept Ascending indices per KV head.
 */
export async function mergedValues(
  views: readonly LayerView[],
  kept: readonly Int32Array[],
  merging: Merging,
): Promise<readonly Float32Array[]> {
  const merged: Float32Array[] = [];
  for (const view of views) {
    const values = await view.values();
    for (let head = 0; head < view.kvHeads; head++) {
      const indices = kept[merged.length] ?? new Int32Array();
      const rows = rowsOf(values, view, head);
      const nearest = await nearestKept(view, head, indices);
      merged.push(mergedHead(rows, view.headDim, indices, nearest, merging));
    }
  }
  return merged;
}

/** Dropped tokens, and the kept one whose key is nearest to each. */
interface Nearest {
  readonly dropped: Int32Array;
  /** Places among the kept tokens. */
  readonly targets: Int32Array;
  readonly cosines: Float32Array;
}

async function nearestKept(view: LayerView, head: number, kept: Int32Array): Promise<Nearest> {
  const { length } = view;
  const stay = new Set(kept);
  const dropped = Int32Array.from({ length }, (_, token) => token).filter((one) => !stay.has(one));
  const targets = new Int32Array(dropped.length);
  const cosines = new Float32Array(dropped.length).fill(-Infinity);
  for (let from = 0; from < dropped.length; from += TOKENS) {
    const tokens = dropped.slice(from, from + TOKENS);
    const found = await view.similarity(head, tokens);
    for (let row = 0; row < tokens.length; row++) {
      for (const [place, token] of kept.entries()) {
        const cosine = found[row * length + token] ?? 0;
        if (cosine <= (cosines[from + row] ?? 0)) continue;
        cosines[from + row] = cosine;
        targets[from + row] = place;
      }
    }
  }
  return { dropped, targets, cosines };
}

function mergedHead(
  rows: Float32Array,
  headDim: number,
  kept: Int32Array,
  { dropped, targets, cosines }: Nearest,
  { threshold, fraction }: Merging,
): Float32Array {
  const row = (token: number) => rows.subarray(token * headDim, (token + 1) * headDim);
  const norm = (token: number) => Math.hypot(...row(token));
  const least = Math.max(threshold, lowestCosine(cosines, { threshold, fraction }));
  const values = new Float64Array(kept.length * headDim);
  const weights = new Float64Array(kept.length);
  for (const [at, token] of dropped.entries()) {
    const [cosine, place] = [cosines[at] ?? 0, targets[at] ?? 0];
    if (cosine < least || cosine <= 0) continue;
    const length = norm(token);
    const weight = cosine * length / (length + norm(kept[place] ?? 0) + EPSILON);
    weights[place] = (weights[place] ?? 0) + weight;
    for (const [i, value] of row(token).entries()) {
      const to = place * headDim + i;
      values[to] = (values[to] ?? 0) + weight * value;
    }
  }
  return Float32Array.from(values, (sum, at) => {
    const place = Math.floor(at / headDim);
    const own = row(kept[place] ?? 0)[at % headDim] ?? 0;
    return (own + sum) / (1 + (weights[place] ?? 0));
  });
}

/** The cosine from which a share of the tokens is merged: between two of them, as a quantile is. */
export function lowestCosine(cosines: Float32Array, { threshold, fraction }: Merging): number {
  if (fraction === 0) return Infinity;
  if (fraction === 1 || cosines.length === 0) return -Infinity;
  const sorted = cosines.map((one) => one >= threshold ? one : -Infinity).sort();
  const place = (1 - fraction) * (sorted.length - 1);
  const [low, high] = [Math.floor(place), Math.ceil(place)].map((at) => sorted[at] ?? 0);
  if (low === undefined || high === undefined || low === -Infinity) return -Infinity;
  return low + (high - low) * (place - Math.floor(place));
}

/** Rows of one KV head, `[length, headDim]`. */
function rowsOf(
  all: Float32Array,
  { kvHeads, headDim, length }: LayerView,
  head: number,
): Float32Array {
  const rows = new Float32Array(length * headDim);
  for (let token = 0; token < length; token++) {
    const from = (token * kvHeads + head) * headDim;
    rows.set(all.subarray(from, from + headDim), token * headDim);
  }
  return rows;
}
