import type { AttentionShape } from "./attention_nodes.ts";
import { createGraph, type Graph, MICROSOFT, type Value } from "./onnx/graph.ts";
import { createKernel, floats, floatsOf } from "./session.ts";

/** Queries of one KV head, and what they see. */
export interface SeenKeys {
  /** Rotated queries of the head's group, `[queries, heads of the group · headDim]`. */
  readonly queries: Float32Array;
  /** Rotated keys that all of them see, `[seen, headDim]`. */
  readonly seen: Float32Array;
  /** The queries' own keys, `[queries, headDim]`: each is seen from its own query on. */
  readonly own: Float32Array;
  /** The first keys that are asked about, of those that all see. */
  readonly asked: number;
  /** What the weights of each query are multiplied with, `[queries]`. */
  readonly factors: Float32Array;
}

/** The most that one of some queries pays. */
export interface MostAttentionKernel extends AsyncDisposable {
  /** The most that each of the first keys gets from a query, `[heads of the group, asked]`. */
  run(seen: SeenKeys): Promise<Float32Array>;
}

/** Loads the kernel. */
export async function createMostAttentionKernel(
  shape: AttentionShape,
  threads: number,
): Promise<MostAttentionKernel> {
  const { heads, kvHeads, headDim } = shape;
  const group = heads / kvHeads;
  const kernel = await createKernel(buildMostAttention(shape), { threads });
  return {
    async run({ queries, seen, own, asked, factors }) {
      const count = own.length / headDim;
      const { most } = await kernel.run({
        queries: floats(queries, [count, group, headDim]),
        seen: floats(seen, [seen.length / headDim, headDim]),
        own: floats(own, [count, headDim]),
        mask: floats(causalMask(count), [1, count, count]),
        // Only the shape counts.
        asked: floats(new Float32Array(asked), [asked]),
        factors: floats(factors, [1, count, 1]),
      });
      return floatsOf(most);
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

/** 0 where a row's query sees a column's key, `-Infinity` where it comes later, `[count, count]`. */
export function causalMask(count: number): Float32Array {
  return Float32Array.from(
    { length: count * count },
    (_, index) => index % count > Math.floor(index / count) ? -Infinity : 0,
  );
}

function buildMostAttention({ heads, kvHeads, headDim, attentionScale }: AttentionShape): Graph {
  const graph = createGraph("most_attention");
  const group = heads / kvHeads;
  graph.input("queries", "float32", ["Q", group, headDim]);
  graph.input("seen", "float32", ["S", headDim]);
  graph.input("own", "float32", ["Q", headDim]);
  graph.input("mask", "float32", [1, "Q", "Q"]);
  graph.input("asked", "float32", ["A"]);
  graph.input("factors", "float32", [1, "Q", 1]);
  const queries = graph.op("Transpose", ["queries"], {
    attributes: { perm: { ints: [1, 0, 2] } },
  });
  const logits = (keys: Value) =>
    graph.op("FusedMatMul", [queries, graph.op("Unsqueeze", [keys, graph.integers([0])])], {
      domain: MICROSOFT,
      attributes: { transB: { int: 1 }, alpha: { float: attentionScale } },
    });
  const all = graph.op("Concat", [logits("seen"), graph.op("Add", [logits("own"), "mask"])], {
    attributes: { axis: { int: 2 } },
  });
  const weights = graph.op("Slice", [
    graph.op("Softmax", [all], { attributes: { axis: { int: 2 } } }),
    graph.integers([0]),
    graph.op("Shape", ["asked"]),
    graph.integers([2]),
  ]);
  const most = graph.op("ReduceMax", [
    graph.op("Mul", [weights, "factors"]),
    graph.integers([1]),
  ], { attributes: { keepdims: { int: 0 } }, names: ["most"] });
  graph.output(most, "float32", [group, "A"]);
  return graph.build();
}
