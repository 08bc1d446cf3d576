import { columns, joined, scalar } from "./kernels/nodes.ts";
import {
  type KernelAttribute,
  type KernelBuilder,
  type KernelValue,
  type Score,
  withKernel,
} from "./policy.ts";

/** How neighbouring scores are merged. */
export type Pooling = "max" | "avg";

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

/** One way to merge neighbouring scores: a new one is a word above, twice, and an entry below. */
interface Merging {
  /** Merges the scores from an index to before another, of which there is one at least. */
  readonly merge: (scores: Float32Array, from: number, to: number) => number;
  /** What the merged scores of a window are divided by. */
  readonly divisor: (kernel: number) => number;
  /**
   * The same as a graph.
   *
   * @param window Attributes of ONNX's pooling operators.
   * @param share Tokens of that window, of those of the kernel: a prompt may be shorter.
   */
  readonly build: (
    builder: KernelBuilder,
    scores: KernelValue,
    window: Readonly<Record<string, KernelAttribute>>,
    share: number,
  ) => KernelValue;
}

const MERGINGS: Readonly<Record<Pooling, Merging>> = {
  // The padding is left out.
  max: {
    merge(scores, from, to) {
      let most = -Infinity;
      for (let i = from; i < to; i++) {
        const score = scores[i] ?? 0;
        if (score > most) most = score;
      }
      return most;
    },
    divisor: () => 1,
    build: (builder, scores, window) => builder.op("MaxPool", [scores], window),
  },
  // The padding counts as zeros.
  avg: {
    merge(scores, from, to) {
      let sum = 0;
      for (let i = from; i < to; i++) sum += scores[i] ?? 0;
      return sum;
    },
    divisor: (kernel) => kernel,
    build: (builder, scores, window, share) =>
      builder.op("Mul", [
        builder.op("AveragePool", [scores], { ...window, count_include_pad: { int: 1 } }),
        scalar(builder, share),
      ]),
  },
};

/** Settings of {@linkcode pool}. */
export interface PoolOptions {
  /** Tokens per window, odd. */
  readonly kernel: number;
  /** How they are merged. */
  readonly pooling: Pooling;
  /** Tokens that are pooled, from the first on; the scores of the rest stay as they are. */
  readonly end: number;
}

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
  const { merge, divisor } = MERGINGS[pooling];
  const pooled = scores.slice();
  const reach = Math.min((kernel - 1) / 2, end - 1);
  const divided = divisor(kernel);
  for (let start = 0; start < scores.length; start += length) {
    const row = scores.subarray(start, start + end);
    for (let token = 0; token < end; token++) {
      const from = Math.max(0, token - reach);
      const to = Math.min(end, token + reach + 1);
      pooled[start + token] = merge(row, from, to) / divided;
    }
  }
  return pooled;
}

/** Settings of {@linkcode poolKernel}. */
export interface PoolKernelOptions extends Omit<PoolOptions, "end"> {
  /** Last tokens whose scores stay as they are. @default {0} */
  readonly spared?: number;
}

/** {@linkcode pool} where the cache lives: scores are `[kvHeads, length]`. */
export function poolKernel(
  builder: KernelBuilder,
  scores: KernelValue,
  { kernel, pooling, spared = 0 }: PoolKernelOptions,
): KernelValue {
  if (kernel === 1 || !builder.atLeast(spared + 1)) return scores;
  const half = (kernel - 1) / 2;
  // A shorter text is pooled by a window of its own.
  const reach = builder.atLeast(spared + half + 1) ? half : builder.length - spared - 1;
  const pooledColumns = spared > 0 ? columns(builder, scores, 0, -spared) : scores;
  const batch = builder.op("Unsqueeze", [pooledColumns, builder.integers([0])]);
  const width = 2 * reach + 1;
  const window = {
    kernel_shape: { ints: [width] },
    pads: { ints: [reach, reach] },
    strides: { ints: [1] },
  };
  const merged = MERGINGS[pooling].build(builder, batch, window, width / kernel);
  const pooled = builder.op("Squeeze", [merged, builder.integers([0])]);
  return spared === 0 ? pooled : joined(builder, [pooled, columns(builder, scores, -spared)], 1);
}

/** The score that is the evidence itself, averaged over the query heads of a group and pooled. */
export function pooledAttention(pooling: Omit<PoolOptions, "end">): Score {
  return withKernel(
    async (layer) => {
      const { length } = layer;
      return pool(await layer.groupAttention(), length, { ...pooling, end: length });
    },
    (layer) => poolKernel(layer, layer.groupAttention(), pooling),
  );
}
