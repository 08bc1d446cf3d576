import type { HeadShape } from "./attention_nodes.ts";
import { createGraph, type Graph, MICROSOFT, type Value } from "./onnx/graph.ts";
import { createKernel, floats, floatsOf } from "./session.ts";

/** Queries that come after some cached tokens, with the keys that they brought themselves. */
export interface FollowingQueries {
  /** Rotated, `[queries, heads · headDim]`. */
  readonly queries: Float32Array;
  /** Rotated keys of the same tokens, `[queries, kvHeads · headDim]`. */
  readonly keys: Float32Array;
}

/** Attention of given queries to a cache that they did not see when they were made. */
export interface QueryAttentionKernel extends AsyncDisposable {
  /**
   * Attention that each cached token receives, summed over the queries, `[heads, tokens]`. A query
   * also sees its own key and those of the queries before it.
   *
   * @param pastKeys Rotated keys of the cache, `[tokens, kvHeads · headDim]`.
   */
  run(pastKeys: Float32Array, following: FollowingQueries): Promise<Float32Array>;
}

/** Loads the kernel. */
export async function createQueryAttentionKernel(
  shape: HeadShape,
  threads: number,
): Promise<QueryAttentionKernel> {
  const { heads, kvHeads, headDim } = shape;
  const kernel = await createKernel(buildQueryAttention(shape), { threads });
  return {
    async run(pastKeys, { queries, keys }) {
      const count = queries.length / (heads * headDim);
      const { received } = await kernel.run({
        queries: floats(queries, [count, heads, headDim]),
        past: floats(pastKeys, [pastKeys.length / (kvHeads * headDim), kvHeads, headDim]),
        own: floats(keys, [count, kvHeads, headDim]),
        mask: floats(causalMask(count), [1, 1, count, count]),
      });
      return floatsOf(received);
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

function causalMask(count: number): Float32Array {
  return Float32Array.from(
    { length: count * count },
    (_, index) => index % count > Math.floor(index / count) ? -Infinity : 0,
  );
}

function buildQueryAttention({ heads, kvHeads, headDim }: HeadShape): Graph {
  const graph = createGraph("query_attention");
  const group = heads / kvHeads;
  graph.input("queries", "float32", ["Q", heads, headDim]);
  graph.input("past", "float32", ["P", kvHeads, headDim]);
  graph.input("own", "float32", ["Q", kvHeads, headDim]);
  graph.input("mask", "float32", [1, 1, "Q", "Q"]);
  const headMajor = (value: Value, count: number, inner: number) =>
    graph.op("Reshape", [
      graph.op("Transpose", [value], { attributes: { perm: { ints: [1, 0, 2] } } }),
      graph.integers([count, inner, -1, headDim]),
    ]);
  const queries = headMajor("queries", kvHeads, group);
  const logits = (keys: Value) =>
    graph.op("FusedMatMul", [queries, headMajor(keys, kvHeads, 1)], {
      domain: MICROSOFT,
      attributes: { transB: { int: 1 }, alpha: { float: 1 / Math.sqrt(headDim) } },
    });
  const all = graph.op("Concat", [logits("past"), graph.op("Add", [logits("own"), "mask"])], {
    attributes: { axis: { int: 3 } },
  });
  const weights = graph.op("Softmax", [all], { attributes: { axis: { int: 3 } } });
  const sums = graph.op("ReduceSum", [weights, graph.integers([2])], {
    attributes: { keepdims: { int: 0 } },
  });
  const past = graph.op("Slice", [
    sums,
    graph.integers([0]),
    graph.op("Shape", ["past"], { attributes: { start: { int: 0 }, end: { int: 1 } } }),
    graph.integers([2]),
  ]);
  graph.output(
    graph.op("Reshape", [past, graph.integers([heads, -1])], { names: ["received"] }),
    "float32",
    [heads, "P"],
  );
  return graph.build();
}
