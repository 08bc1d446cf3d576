import { columns, joined, scalar } from "./kernels/nodes.ts";
import type { KernelBuilder, KernelValue } from "./policy.ts";

/** How neighbouring scores are merged. */
export type Pooling = "max" | "avg";

/** Settings of {@linkcode pool}. */
export interface PoolOptions {
  /** Tokens per window, odd. */
  readonly kernel: number;
  /** The maximum leaves the padding out; the average counts it as zeros. */
  readonly pooling: Pooling;
  /** Tokens that are pooled, from the first on; the scores of the rest stay as they are. */
  readonly end: number;
}

/** The options of a policy that pools. */
export const poolingOptions = {
  kernel: {
    kind: "integer",
    min: 1,
    odd: true,
    default: 7,
    about: "tokens that are pooled together",
  },
  pooling: {
    kind: "choice",
    words: ["max", "avg"],
    default: "max",
    about: "how they are pooled",
  },
} as const;

/**
 * One-dimensional pooling over the tokens of each head, stride 1, same length.
 *
 * @param scores `[heads × length]`; left as it is.
 * @param length Tokens per head.
 */
export function pool(
  scores: Float32Array,
  length: number,
  { kernel, pooling, end }: PoolOptions,
): Float32Array {
  const pooled = scores.slice();
  const reach = Math.min((kernel - 1) / 2, end - 1);
  const divisor = pooling === "max" ? 1 : kernel;
  const merged = new Float64Array(end);
  for (let start = 0; start < scores.length; start += length) {
    merged.fill(pooling === "max" ? -Infinity : 0);
    for (let offset = -reach; offset <= reach; offset++) {
      const first = Math.max(0, -offset);
      const last = Math.min(end, end - offset);
      const shifted = scores.subarray(start + first + offset, start + last + offset);
      const target = merged.subarray(first, last);
      if (pooling === "max") raise(target, shifted);
      else add(target, shifted);
    }
    for (let token = 0; token < end; token++) {
      pooled[start + token] = (merged[token] ?? 0) / divisor;
    }
  }
  return pooled;
}

function raise(target: Float64Array, values: Float32Array): void {
  for (let i = 0; i < target.length; i++) {
    const value = values[i] ?? 0;
    if (value > (target[i] ?? 0)) target[i] = value;
  }
}

function add(target: Float64Array, values: Float32Array): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] ?? 0) + (values[i] ?? 0);
}

/** {@linkcode pool} where the cache lives: scores are `[kvHeads, length]`. */
export function poolKernel(
  builder: KernelBuilder,
  scores: KernelValue,
  { kernel, pooling, end }: PoolOptions,
): KernelValue {
  const { length } = builder;
  const reach = Math.min((kernel - 1) / 2, end - 1);
  if (end < 1 || kernel === 1) return scores;
  const batch = builder.op("Unsqueeze", [
    columns(builder, scores, 0, end),
    builder.integers([0]),
  ]);
  const width = 2 * reach + 1;
  const window = {
    kernel_shape: { ints: [width] },
    pads: { ints: [reach, reach] },
    strides: { ints: [1] },
  };
  const merged = pooling === "max" ? builder.op("MaxPool", [batch], window) : builder.op("Mul", [
    builder.op("AveragePool", [batch], { ...window, count_include_pad: { int: 1 } }),
    scalar(builder, width / kernel),
  ]);
  const pooled = builder.op("Squeeze", [merged, builder.integers([0])]);
  if (end === length) return pooled;
  return joined(builder, [pooled, columns(builder, scores, end, length)], 1);
}
