import type { KernelBuilder, KernelValue, LayerView } from "../policy.ts";
import { norms, scalar } from "./nodes.ts";

/** Tokens whose cosines are asked for at a time. */
const TOKENS = 256;

/** Keeps a key without length from dividing by nothing. */
const EPSILON = 1e-8;

/**
 * How much each token repeats others, `[kvHeads × length]`: the mean over all tokens of the cosines of their keys
 * with its own, softmax over the tokens. A token does not repeat itself, and the last one that some token repeats
 * is spared that cosine.
 */
export async function redundancy(layer: LayerView, threshold: number): Promise<Float32Array> {
  const { kvHeads, length } = layer;
  const shares = new Float32Array(kvHeads * length);
  for (let head = 0; head < kvHeads; head++) {
    const sums = new Float64Array(length);
    for (let from = 0; from < length; from += TOKENS) {
      const count = Math.min(TOKENS, length - from);
      const tokens = Int32Array.from({ length: count }, (_, at) => from + at);
      const cosines = await layer.similarity(head, tokens);
      for (let row = 0; row < count; row++) {
        const ofToken = cosines.subarray(row * length, (row + 1) * length);
        const spared = lastAlike(ofToken, from + row, threshold);
        for (let token = 0; token < length; token++) {
          if (token === from + row || token === spared) continue;
          sums[token] = (sums[token] ?? 0) + (ofToken[token] ?? 0) / length;
        }
      }
    }
    const most = sums.reduce((max, sum) => Math.max(max, sum), -Infinity);
    const exponents = sums.map((sum) => Math.exp(sum - most));
    const total = exponents.reduce((sum, one) => sum + one, 0);
    shares.set(exponents.map((one) => one / total), head * length);
  }
  return shares;
}

/** The last other token above the threshold; the first token where there is none. */
function lastAlike(cosines: Float32Array, own: number, threshold: number): number {
  for (let token = cosines.length - 1; token > 0; token--) {
    if (token !== own && (cosines[token] ?? 0) > threshold) return token;
  }
  return 0;
}

/** The same where the keys lie: `[length, length]` numbers for each KV head. */
export function redundancyKernel(builder: KernelBuilder, threshold: number): KernelValue {
  const keys = builder.keys();
  const unit = builder.op("Div", [
    keys,
    builder.op("Add", [norms(builder, keys, true), scalar(builder, EPSILON)]),
  ]);
  const cosines = builder.op("MatMul", [
    unit,
    builder.op("Transpose", [unit], { perm: { ints: [0, 2, 1] } }),
  ]);
  const counting = builder.counting();
  const row = builder.op("Reshape", [counting, builder.integers([1, 1, -1])]);
  const column = builder.op("Reshape", [counting, builder.integers([1, -1, 1])]);
  const zero = scalar(builder, 0);
  const others = builder.op("Where", [builder.op("Equal", [row, column]), zero, cosines]);
  const alike = builder.op("Where", [
    builder.op("Greater", [others, scalar(builder, threshold)]),
    row,
    zero,
  ]);
  const spared = builder.op("ReduceMax", [alike, builder.integers([2])], {
    keepdims: { int: 1 },
  });
  const counted = builder.op("Where", [builder.op("Equal", [row, spared]), zero, others]);
  const means = builder.op("ReduceMean", [counted, builder.integers([1])], {
    keepdims: { int: 0 },
  });
  return builder.op("Softmax", [means], { axis: { int: -1 } });
}
