import type { HostEngine } from "../runtime/engine/host/host_engine.ts";
import { holdSequence, rollbackSequence, type Sequence } from "../runtime/engine/sequence.ts";
import { globalLayersOf } from "../runtime/cache/global_layers.ts";
import type { HostKvCache } from "../runtime/cache/kv_cache.ts";

/** Parts of an answer that are averaged for themselves. */
export const SEGMENTS = 4;

/** Queries that the mean of the highest is of. */
const HIGHEST = 4;

/** What an answer's queries attend to, in several ways. */
export interface AnswerMaps {
  /** Mean over the queries, `[layers, heads, n]`. */
  readonly mean: Float32Array;
  /** The most that a query pays, in the same shape. */
  readonly max: Float32Array;
  /** Mean of the {@linkcode HIGHEST} that queries pay, in the same shape. */
  readonly top: Float32Array;
  /** Mean over the queries of each part of the answer, `[layers, SEGMENTS, heads, n]`. */
  readonly segments: Float32Array;
}

/**
 * Reads an answer behind a prompt and measures what each of its queries attends to, in the global layers.
 * The sequence is left as it was.
 */
export async function answerMaps(
  engine: HostEngine,
  sequence: Sequence<HostKvCache>,
  ids: readonly number[],
): Promise<AnswerMaps> {
  const { cache } = sequence;
  const { heads } = engine.config;
  const layers = globalLayersOf(cache);
  const length = cache.length(layers[0] ?? 0);
  const plane = heads * length;
  const maps = {
    mean: new Float32Array(layers.length * plane),
    max: new Float32Array(layers.length * plane),
    top: new Float32Array(layers.length * plane),
    segments: new Float32Array(layers.length * SEGMENTS * plane),
  };
  using mark = holdSequence(sequence);
  try {
    const { queries } = await engine.advance(sequence, { ids, queries: true });
    for (const [at, layer] of layers.entries()) {
      const asked = queries[layer]?.floats() ?? new Float32Array();
      reduceWeights(await engine.weights(cache, layer, asked), {
        ...{ heads, length, queries: ids.length },
        mean: maps.mean.subarray(at * plane, (at + 1) * plane),
        max: maps.max.subarray(at * plane, (at + 1) * plane),
        top: maps.top.subarray(at * plane, (at + 1) * plane),
        segments: maps.segments.subarray(at * SEGMENTS * plane, (at + 1) * SEGMENTS * plane),
      });
    }
  } finally {
    rollbackSequence(sequence, mark);
  }
  return maps;
}

/** Sizes of a layer's weights, and where their maps go. */
export interface ReducedWeights extends AnswerMaps {
  readonly heads: number;
  readonly queries: number;
  readonly length: number;
}

/**
 * Makes the maps of one layer.
 *
 * @param weights `[heads, queries, length]`.
 */
export function reduceWeights(
  weights: Float32Array,
  { heads, queries, length, mean, max, top, segments }: ReducedWeights,
): void {
  const bounds = Array.from({ length: SEGMENTS }, (_, part) => segmentOf(part, queries));
  const highest = new Float32Array(Math.min(HIGHEST, queries));
  for (let head = 0; head < heads; head++) {
    for (let token = 0; token < length; token++) {
      const place = head * length + token;
      const weightOf = (query: number) => weights[(head * queries + query) * length + token] ?? 0;
      let sum = 0;
      highest.fill(0);
      for (let query = 0; query < queries; query++) {
        const weight = weightOf(query);
        sum += weight;
        insert(highest, weight);
      }
      mean[place] = sum / queries;
      max[place] = highest[0] ?? 0;
      top[place] = highest.reduce((all, one) => all + one, 0) / highest.length;
      for (const [part, [from, to]] of bounds.entries()) {
        let own = 0;
        for (let query = from; query < to; query++) own += weightOf(query);
        segments[(part * heads + head) * length + token] = own / (to - from);
      }
    }
  }
}

/** The queries of a part: at least one; short answers give some to several. */
function segmentOf(part: number, queries: number): readonly [number, number] {
  const from = Math.floor((part * queries) / SEGMENTS);
  return [from, Math.max(from + 1, Math.floor(((part + 1) * queries) / SEGMENTS))];
}

/** Puts a number into a falling list, whose last one goes. */
function insert(falling: Float32Array, value: number): void {
  let at = falling.length;
  while (at > 0 && (falling[at - 1] ?? 0) < value) {
    if (at < falling.length) falling[at] = falling[at - 1] ?? 0;
    at--;
  }
  if (at < falling.length) falling[at] = value;
}
