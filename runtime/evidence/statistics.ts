import type { QueryGaussian } from "../../kernels/expected_logits.ts";
import { type RotaryRows, rotaryRows } from "../../kernels/rope.ts";
import type { Evidence } from "../../policies/policy.ts";
import { globalLayers } from "../checkpoint/layer_kinds.ts";
import { rotaryFrequencies } from "../rotary/frequencies.ts";
import type { Engine, StepQueries } from "../engine/engine.ts";

/** Where some tokens of a sequence stand. */
export interface Span {
  /** True position of the first. */
  readonly position: number;
  /** Tokens that dynamic RoPE scaling reckons with. */
  readonly planned: number;
}

/** Mean and covariance of the un-rotated queries of a prompt in each global layer, gathered while it is read. */
export interface QueryStatistics {
  /**
   * Adds tokens.
   *
   * @param queries Rotated queries of each layer.
   * @param tokens How many there are.
   */
  add(queries: readonly StepQueries[], span: Span, tokens: number): Promise<void>;
  /** The Gaussian of each global layer, rotated by the mean rotation of some positions. */
  at(span: Span, positions: number): readonly QueryGaussian[];
}

interface Moments {
  count: number;
  readonly mean: Float64Array;
  readonly products: Float64Array;
}

/** Statistics for every number of leading tokens that some evidence leaves out. */
export interface PromptStatistics {
  /** Takes the queries that are read; absent where no evidence wants any. */
  readonly onQueries?: QueryStatistics["add"] | undefined;
  /** The statistics with that many tokens left out. */
  skipping(tokens: number): QueryStatistics | undefined;
}

/** Begins to gather what some policies want. */
export function gatherPromptStatistics(
  evidence: readonly Evidence[],
  engine: Pick<Engine, "config" | "queryStatistics">,
): PromptStatistics {
  const bySkip = new Map<number, QueryStatistics>();
  const all = evidence.flatMap((one) => one.kind === "lookahead" ? [one.draft.evidence] : [one]);
  for (const one of all) {
    if (one.kind !== "statistics" || bySkip.has(one.skip)) continue;
    bySkip.set(one.skip, gatherQueryStatistics(engine, one.skip));
  }
  const onQueries: QueryStatistics["add"] = async (...queries) => {
    for (const statistics of bySkip.values()) await statistics.add(...queries);
  };
  return {
    ...(bySkip.size > 0 ? { onQueries } : {}),
    skipping: (tokens) => bySkip.get(tokens),
  };
}

/** Begins to gather; `skip` leading tokens are left out: attention sinks are outliers. */
export function gatherQueryStatistics(
  { config, queryStatistics }: Pick<Engine, "config" | "queryStatistics">,
  skip: number,
): QueryStatistics {
  const { heads, headDim, layerKinds } = config;
  const globals = globalLayers(config);
  const rows = (layer: number, planned: number, from: number, count: number): RotaryRows => {
    const { rope } = layerKinds[layer] ?? {};
    const frequencies = rope === undefined
      ? new Float32Array(headDim / 2)
      : rotaryFrequencies(config, planned, rope);
    return rotaryRows(frequencies, from, count);
  };
  const moments = globals.map((): Moments => ({
    count: 0,
    mean: new Float64Array(heads * headDim),
    products: new Float64Array(heads * headDim * headDim),
  }));
  return {
    async add(queries, { position, planned }, tokens) {
      const left = Math.min(tokens, Math.max(0, skip - position));
      if (left === tokens) return;
      const count = tokens - left;
      for (const [index, layer] of globals.entries()) {
        const [ofLayer, total] = [queries[layer], moments[index]];
        if (!ofLayer || !total) continue;
        const rotary = rows(layer, planned, position + left, count);
        const { mean, products } = await queryStatistics(ofLayer, rotary, left);
        merge(total, { count, mean, products }, headDim);
      }
    },
    at({ position, planned }, positions) {
      return moments.map((total, index) => {
        const { cos, sin } = rows(globals[index] ?? 0, planned, position, positions);
        const rotation = { cos: meanRow(cos, positions), sin: meanRow(sin, positions) };
        return rotated(total, rotation, heads, headDim);
      });
    },
  };
}

/** Joins the moments of two sets of tokens (Chan, Golub and LeVeque). */
function merge(
  total: Moments,
  added: {
    readonly count: number;
    readonly mean: Float32Array;
    readonly products: Float32Array;
  },
  headDim: number,
): void {
  const count = total.count + added.count;
  const difference = total.mean.map((value, i) => (added.mean[i] ?? 0) - value);
  const between = (total.count * added.count) / count;
  for (let index = 0; index < total.products.length; index++) {
    const row = Math.floor(index / headDim);
    const column = row - row % headDim + index % headDim;
    const outer = (difference[row] ?? 0) * (difference[column] ?? 0);
    total.products[index] = (total.products[index] ?? 0) + (added.products[index] ?? 0) +
      between * outer;
  }
  difference.forEach((value, i) =>
    total.mean[i] = (total.mean[i] ?? 0) + value * added.count / count
  );
  total.count = count;
}

function meanRow(rows: Float32Array, count: number): Float64Array {
  const width = rows.length / count;
  const mean = new Float64Array(width);
  rows.forEach((value, i) => mean[i % width] = (mean[i % width] ?? 0) + value / count);
  return mean;
}

interface MeanRotation {
  readonly cos: Float64Array;
  readonly sin: Float64Array;
}

function rotated(
  { count, mean, products }: Moments,
  rotation: MeanRotation,
  heads: number,
  headDim: number,
): QueryGaussian {
  const covariance = products.map((value) => value / Math.max(1, count));
  const rotatedMean = mean.slice();
  for (let head = 0; head < heads; head++) {
    const square = head * headDim * headDim;
    for (let row = 0; row < headDim; row++) {
      rotateVector(covariance, square + row * headDim, 1, headDim, rotation);
    }
    for (let column = 0; column < headDim; column++) {
      rotateVector(covariance, square + column, headDim, headDim, rotation);
    }
    rotateVector(rotatedMean, head * headDim, 1, headDim, rotation);
  }
  return { mean: Float32Array.from(rotatedMean), covariance: Float32Array.from(covariance) };
}

/** Rotates one vector that lies in an array with a stride. */
function rotateVector(
  values: Float64Array,
  start: number,
  stride: number,
  headDim: number,
  { cos, sin }: MeanRotation,
): void {
  const half = headDim / 2;
  for (let i = 0; i < half; i++) {
    const [at, beside] = [start + i * stride, start + (i + half) * stride];
    const [a, b, c, s] = [values[at] ?? 0, values[beside] ?? 0, cos[i] ?? 0, sin[i] ?? 0];
    values[at] = a * c - b * s;
    values[beside] = b * c + a * s;
  }
}
