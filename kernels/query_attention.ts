import type { AttentionShape } from "./attention_nodes.ts";
import { causalMask } from "./most_attention.ts";
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
   * @param count KV heads that keys and queries are of. @default {all of the model}
   */
  run(pastKeys: Float32Array, following: FollowingQueries, count?: number): Promise<Float32Array>;
}

/** Loads the kernel. */
export function createQueryAttentionKernel(
  shape: AttentionShape,
  threads: number,
): Promise<QueryAttentionKernel> {
  return loadKernel(shape, threads, true);
}

/** As {@linkcode QueryAttentionKernel}, each query's attention for itself: `[heads, queries, tokens]`. */
export type QueryWeightsKernel = QueryAttentionKernel;

/** Loads the kernel. */
export function createQueryWeightsKernel(
  shape: AttentionShape,
  threads: number,
): Promise<QueryWeightsKernel> {
  return loadKernel(shape, threads, false);
}

async function loadKernel(
  shape: AttentionShape,
  threads: number,
  summed: boolean,
): Promise<QueryAttentionKernel> {
  const { heads, kvHeads, headDim } = shape;
  const kernel = await createKernel(buildQueryAttention(shape, summed), { threads });
  return {
    async run(pastKeys, { queries, keys }, count = kvHeads) {
      const tokens = keys.length / (count * headDim);
      const { attention } = await kernel.run({
        queries: floats(queries, [tokens, count, heads / kvHeads, headDim]),
        past: floats(pastKeys, [pastKeys.length / (count * headDim), count, 1, headDim]),
        own: floats(keys, [tokens, count, 1, headDim]),
        mask: floats(causalMask(tokens), [1, 1, tokens, tokens]),
      });
      return floatsOf(attention);
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

function buildQueryAttention(
  { heads, kvHeads, headDim, attentionScale }: AttentionShape,
  summed: boolean,
): Graph {
  const graph = createGraph("query_attention");
  const group = heads / kvHeads;
  graph.input("queries", "float32", ["Q", "G", group, headDim]);
  graph.input("past", "float32", ["P", "G", 1, headDim]);
  graph.input("own", "float32", ["Q", "G", 1, headDim]);
  graph.input("mask", "float32", [1, 1, "Q", "Q"]);
  const headMajor = (value: Value) =>
    graph.op("Transpose", [value], { attributes: { perm: { ints: [1, 2, 0, 3] } } });
  const queries = headMajor("queries");
  const logits = (keys: Value) =>
    graph.op("FusedMatMul", [queries, headMajor(keys)], {
      domain: MICROSOFT,
      attributes: { transB: { int: 1 }, alpha: { float: attentionScale } },
    });
  const seen = graph.op("Concat", [logits("past"), graph.op("Add", [logits("own"), "mask"])], {
    attributes: { axis: { int: 3 } },
  });
  const weights = graph.op("Softmax", [seen], { attributes: { axis: { int: 3 } } });
  const all = summed
    ? graph.op("ReduceSum", [weights, graph.integers([2])], {
      attributes: { keepdims: { int: 0 } },
    })
    : weights;
  const past = graph.op("Slice", [
    all,
    graph.integers([0]),
    graph.op("Shape", ["past"], { attributes: { start: { int: 0 }, end: { int: 1 } } }),
    graph.integers([-1]),
  ], { names: ["attention"] });
  graph.output(past, "float32", ["G", group, ...summed ? [] : ["Q"], "P"]);
  return graph.build();
}
