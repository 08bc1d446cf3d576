import type { HeadShape } from "./attention_nodes.ts";
import { createGraph, type Graph, type GraphBuilder, type Value } from "./onnx/graph.ts";
import type { RotaryRows } from "./rope.ts";
import { createKernel, floats, floatsOf } from "./session.ts";

/** Statistics of the un-rotated queries of some tokens. */
export interface ChunkStatistics {
  /** Mean, `[heads, headDim]`. */
  readonly mean: Float32Array;
  /** Outer products of the differences from the mean, summed, `[heads, headDim, headDim]`. */
  readonly products: Float32Array;
}

/** Computes {@linkcode ChunkStatistics}. */
export interface QueryStatisticsKernel extends AsyncDisposable {
  /**
   * @param queries Rotated queries, `[tokens, heads · headDim]`.
   * @param rotary Tables that they were rotated by.
   */
  run(queries: Float32Array, rotary: RotaryRows): Promise<ChunkStatistics>;
}

/** Loads the kernel. */
export async function createQueryStatisticsKernel(
  { heads, headDim }: HeadShape,
  threads: number,
): Promise<QueryStatisticsKernel> {
  const kernel = await createKernel(buildQueryStatistics(heads, headDim), { threads });
  return {
    async run(queries, { cos, sin }) {
      const half = headDim / 2;
      const tokens = queries.length / (heads * headDim);
      const { mean, products } = await kernel.run({
        queries: floats(queries, [tokens, heads, headDim]),
        cos: floats(cos, [tokens, 1, half]),
        sin: floats(sin, [tokens, 1, half]),
      });
      return { mean: floatsOf(mean), products: floatsOf(products) };
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

/**
 * Builds the graph.
 *
 * @param skipping Whether `first` rows of the queries, an input `[1]`, are left out.
 */
export function buildQueryStatistics(heads: number, headDim: number, skipping = false): Graph {
  const graph = createGraph("query_statistics");
  const half = headDim / 2;
  graph.input("queries", "float32", ["Q", heads, headDim]);
  graph.input("cos", "float32", ["T", 1, half]);
  graph.input("sin", "float32", ["T", 1, half]);
  if (skipping) graph.input("first", "int64", [1]);
  const rows = skipping
    ? graph.op("Slice", [
      "queries",
      "first",
      graph.integers([Number.MAX_SAFE_INTEGER]),
      graph.integers([0]),
    ])
    : "queries";
  const queries = graph.op("Transpose", [unrotated(graph, rows, half)], {
    attributes: { perm: { ints: [1, 0, 2] } },
  });
  const mean = graph.op("ReduceMean", [queries, graph.integers([1])], {
    attributes: { keepdims: { int: 1 } },
  });
  const centred = graph.op("Sub", [queries, mean]);
  graph.output(
    graph.op("Squeeze", [mean, graph.integers([1])], { names: ["mean"] }),
    "float32",
    [heads, headDim],
  );
  graph.output(
    graph.op("MatMul", [
      graph.op("Transpose", [centred], { attributes: { perm: { ints: [0, 2, 1] } } }),
      centred,
    ], { names: ["products"] }),
    "float32",
    [heads, headDim, headDim],
  );
  return graph.build();
}

/** Turns the queries back by their angles. */
function unrotated(graph: GraphBuilder, queries: Value, half: number): Value {
  const [first = "", second = ""] = graph.ops(
    "Split",
    [queries, graph.integers([half, half])],
    2,
    { attributes: { axis: { int: 2 } } },
  );
  const times = (value: Value, table: Value) => graph.op("Mul", [value, table]);
  return graph.op("Concat", [
    graph.op("Add", [times(first, "cos"), times(second, "sin")]),
    graph.op("Sub", [times(second, "cos"), times(first, "sin")]),
  ], { attributes: { axis: { int: 2 } } });
}
