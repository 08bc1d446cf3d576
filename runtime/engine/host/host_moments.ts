import type { QueryGaussian } from "../../../kernels/expected_logits.ts";
import type { ChunkStatistics } from "../../../kernels/query_statistics.ts";
import type { HeadShape } from "../../../kernels/attention_nodes.ts";
import type { ExpectedQueries, HostMoments, MeanRotation, QueryMoments } from "../query_moments.ts";

/** Moments of some tokens, joined with those of others (Chan, Golub and LeVeque). */
export function joinedMoments(
  before: QueryMoments | undefined,
  { mean, products }: ChunkStatistics,
  added: number,
  headDim: number,
): HostMoments {
  const total = before ? hostMoments(before) : undefined;
  if (!total) return momentsOf(Float64Array.from(mean), Float64Array.from(products), added);
  const count = total.count + added;
  const difference = total.mean.map((value, at) => (mean[at] ?? 0) - value);
  const between = (total.count * added) / count;
  const joined = total.products.map((value, index) => {
    const row = Math.floor(index / headDim);
    const column = row - row % headDim + index % headDim;
    const outer = (difference[row] ?? 0) * (difference[column] ?? 0);
    return value + (products[index] ?? 0) + between * outer;
  });
  const moved = total.mean.map((value, at) => value + (difference[at] ?? 0) * added / count);
  return momentsOf(moved, joined, count);
}

function momentsOf(mean: Float64Array, products: Float64Array, count: number): HostMoments {
  return {
    home: "host",
    ...{ count, mean, products },
    statistics: () => ({ mean: Float32Array.from(mean), products: Float32Array.from(products) }),
    [Symbol.dispose]() {},
  };
}

/** The Gaussian of queries to come, rotated as they will be. */
export function expectedGaussian(
  { moments, rotation }: ExpectedQueries,
  { heads, headDim }: HeadShape,
): QueryGaussian {
  const found = moments && hostMoments(moments);
  const covariance = found
    ? found.products.map((value) => value / Math.max(1, found.count))
    : new Float64Array(heads * headDim * headDim);
  const mean = found ? found.mean.slice() : new Float64Array(heads * headDim);
  for (let head = 0; head < heads; head++) {
    const square = head * headDim * headDim;
    for (let row = 0; row < headDim; row++) {
      rotateVector(covariance, square + row * headDim, 1, headDim, rotation);
    }
    for (let column = 0; column < headDim; column++) {
      rotateVector(covariance, square + column, headDim, headDim, rotation);
    }
    rotateVector(mean, head * headDim, 1, headDim, rotation);
  }
  return { mean: Float32Array.from(mean), covariance: Float32Array.from(covariance) };
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

function hostMoments(moments: QueryMoments): HostMoments {
  if (moments.home === "host") return moments;
  throw new TypeError("Cannot work with moments of another home: take those of this engine");
}
