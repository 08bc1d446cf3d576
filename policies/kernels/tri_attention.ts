import type { KernelBuilder, KernelValue, LayerShape } from "../policy.ts";
import { scalar } from "./nodes.ts";

/** What is known of the queries that will see the keys of a layer. */
export type BandQueries = (layer: LayerShape) => {
  /** Their mean, rotated to where they come from, `[heads × headDim]`. */
  readonly centres: Float32Array;
  /** What each pair of numbers has beside it on average, `[heads × headDim / 2]`. */
  readonly beside: Float32Array;
};

/** Below this deviation all scores count as one. */
const TINY = 1e-6;

/** The largest normalised score of each group, `[kvHeads × length]`. */
export function bandScores(
  { heads, kvHeads, headDim, length }: LayerShape,
  keys: Float32Array,
  { centres, beside }: ReturnType<BandQueries>,
): Float32Array {
  const group = heads / kvHeads;
  const half = headDim / 2;
  const best = new Float32Array(kvHeads * length).fill(-Infinity);
  const row = new Float64Array(length);
  for (let head = 0; head < heads; head++) {
    const kvHead = Math.floor(head / group);
    for (let token = 0; token < length; token++) {
      const start = (token * kvHeads + kvHead) * headDim;
      let score = 0;
      for (let band = 0; band < half; band++) {
        const [a, b] = [keys[start + band] ?? 0, keys[start + half + band] ?? 0];
        const at = head * headDim + band;
        score += a * (centres[at] ?? 0) + b * (centres[at + half] ?? 0) +
          Math.sqrt(a * a + b * b) * (beside[head * half + band] ?? 0);
      }
      row[token] = score;
    }
    normalise(row);
    const into = best.subarray(kvHead * length, (kvHead + 1) * length);
    row.forEach((score, token) => into[token] = Math.max(into[token] ?? 0, score));
  }
  return best;
}

/** Makes the mean 0 and the deviation 1. */
function normalise(row: Float64Array): void {
  const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
  const square = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
  const deviation = Math.max(TINY, Math.sqrt(square));
  row.forEach((value, at) => row[at] = (value - mean) / deviation);
}

/** The same scores where the keys lie. */
export function bandScoresKernel(builder: KernelBuilder, queries: BandQueries): KernelValue {
  const { heads, kvHeads, headDim } = builder;
  const group = heads / kvHeads;
  const half = headDim / 2;
  // Columns of a KV head: the queries of its group.
  const columns = (of: "centres" | "beside", size: number) =>
    builder.op("Transpose", [
      builder.given([kvHeads, group, size], (layer) => queries(layer)[of]),
    ], { perm: { ints: [0, 2, 1] } });
  const keys = builder.keys();
  const squares = builder.op("Reshape", [
    builder.op("Mul", [keys, keys]),
    builder.integers([kvHeads, -1, 2, half]),
  ]);
  const lengths = builder.op("Sqrt", [
    builder.op("ReduceSum", [squares, builder.integers([2])], { keepdims: { int: 0 } }),
  ]);
  const scores = builder.op("Add", [
    builder.op("MatMul", [keys, columns("centres", headDim)]),
    builder.op("MatMul", [lengths, columns("beside", half)]),
  ]);
  const mean = (value: KernelValue) => builder.op("ReduceMean", [value, builder.integers([1])]);
  const apart = builder.op("Sub", [scores, mean(scores)]);
  const deviation = builder.op("Max", [
    builder.op("Sqrt", [mean(builder.op("Mul", [apart, apart]))]),
    scalar(builder, TINY),
  ]);
  return builder.op("ReduceMax", [
    builder.op("Div", [apart, deviation]),
    builder.integers([2]),
  ], { keepdims: { int: 0 } });
}
