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

function buildQueryStatistics(heads: number, headDim: number): Graph {
  const graph = createGraph("query_statistics");
  const half = headDim / 2;
  graph.input("queries", "float32", ["Q", heads, headDim]);
  graph.input("cos", "float32", ["T", 1, half]);
  graph.input("sin", "float32", ["T", 1, half]);
  const rotary = { cos: "cos", sin: "sin" };
  const { mean, products } = emitQueryStatistics(graph, "queries", rotary, headDim);
  graph.op("Identity", [mean], { names: ["mean"] });
  graph.op("Identity", [products], { names: ["products"] });
  graph.output("mean", "float32", [heads, headDim]);
  graph.output("products", "float32", [heads, headDim, headDim]);
  return graph.build();
}

/** Rotary tables in a graph. */
export interface RotaryValues {
  readonly cos: Value;
  readonly sin: Value;
}

/**
 * Adds {@linkcode ChunkStatistics} of queries `[T, heads, headDim]` to a graph.
 *
 * @param rotary Tables that they were rotated by, `[T, 1, headDim / 2]`.
 */
export function emitQueryStatistics(
  graph: GraphBuilder,
  queries: Value,
  rotary: RotaryValues,
  headDim: number,
): { readonly mean: Value; readonly products: Value } {
  const byHead = graph.op("Transpose", [unrotated(graph, queries, rotary, headDim / 2)], {
    attributes: { perm: { ints: [1, 0, 2] } },
  });
  const mean = graph.op("ReduceMean", [byHead, graph.integers([1])], {
    attributes: { keepdims: { int: 1 } },
  });
  const centred = graph.op("Sub", [byHead, mean]);
  return {
    mean: graph.op("Squeeze", [mean, graph.integers([1])]),
    products: graph.op("MatMul", [
      graph.op("Transpose", [centred], { attributes: { perm: { ints: [0, 2, 1] } } }),
      centred,
    ]),
  };
}

/** Turns the queries back by their angles. */
function unrotated(
  graph: GraphBuilder,
  queries: Value,
  { cos, sin }: RotaryValues,
  half: number,
): Value {
  const [first = "", second = ""] = graph.ops(
    "Split",
    [queries, graph.integers([half, half])],
    2,
    { attributes: { axis: { int: 2 } } },
  );
  const times = (value: Value, table: Value) => graph.op("Mul", [value, table]);
  return graph.op("Concat", [
    graph.op("Add", [times(first, cos), times(second, sin)]),
    graph.op("Sub", [times(second, cos), times(first, sin)]),
  ], { attributes: { axis: { int: 2 } } });
}
