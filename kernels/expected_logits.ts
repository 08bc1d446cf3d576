import type { AttentionShape } from "./attention_nodes.ts";
import { createGraph, type Graph, MICROSOFT } from "./onnx/graph.ts";
import { createKernel, floats, floatsOf } from "./session.ts";

/** A Gaussian of each query head. */
export interface QueryGaussian {
  /** `[heads, headDim]`. */
  readonly mean: Float32Array;
  /** `[heads, headDim, headDim]`. */
  readonly covariance: Float32Array;
}

/** Attention logits (scaled as in attention) of each key under a {@linkcode QueryGaussian}. */
export interface LogitMoments {
  /** `[heads, tokens]`. */
  readonly mean: Float32Array;
  /** `[heads, tokens]`. */
  readonly variance: Float32Array;
}

/** Computes {@linkcode LogitMoments}. */
export interface ExpectedLogitsKernel extends AsyncDisposable {
  /**
   * @param keys `[tokens, kvHeads · headDim]`, or of one KV head.
   * @param queries Of the heads that share these keys.
   */
  run(keys: Float32Array, queries: QueryGaussian): Promise<LogitMoments>;
}

/** Loads the kernel. */
export async function createExpectedLogitsKernel(
  shape: AttentionShape,
  threads: number,
): Promise<ExpectedLogitsKernel> {
  const { heads, kvHeads, headDim } = shape;
  const group = heads / kvHeads;
  const kernel = await createKernel(buildExpectedLogits(shape), { threads });
  return {
    async run(keys, queries) {
      const count = queries.mean.length / (group * headDim);
      const { mean, variance } = await kernel.run({
        keys: floats(keys, [keys.length / (count * headDim), count, headDim]),
        query_mean: floats(queries.mean, [count, group, headDim]),
        query_covariance: floats(queries.covariance, [count, group, headDim, headDim]),
      });
      return { mean: floatsOf(mean), variance: floatsOf(variance) };
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

function buildExpectedLogits({ heads, kvHeads, headDim, attentionScale }: AttentionShape): Graph {
  const graph = createGraph("expected_logits");
  const group = heads / kvHeads;
  graph.input("keys", "float32", ["N", "G", headDim]);
  graph.input("query_mean", "float32", ["G", group, headDim]);
  graph.input("query_covariance", "float32", ["G", group, headDim, headDim]);
  const keys = graph.op("Transpose", ["keys"], { attributes: { perm: { ints: [1, 0, 2] } } });
  const mean = graph.op("FusedMatMul", ["query_mean", keys], {
    domain: MICROSOFT,
    attributes: { transB: { int: 1 }, alpha: { float: attentionScale } },
  });
  const perGroup = graph.op("Unsqueeze", [keys, graph.integers([1])]);
  const turned = graph.op("FusedMatMul", [perGroup, "query_covariance"], {
    domain: MICROSOFT,
    attributes: { alpha: { float: attentionScale ** 2 } },
  });
  const variance = graph.op("ReduceSum", [
    graph.op("Mul", [turned, perGroup]),
    graph.integers([3]),
  ], { attributes: { keepdims: { int: 0 } } });
  for (const [name, value] of [["mean", mean], ["variance", variance]] as const) {
    const named = graph.op("Identity", [value], { names: [name] });
    graph.output(named, "float32", ["G", group, "N"]);
  }
  return graph.build();
}
