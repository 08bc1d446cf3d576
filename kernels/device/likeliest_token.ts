import { cast } from "../onnx/cast.ts";
import type { GraphBuilder, Value } from "../onnx/graph.ts";
import { type DrawnToken, isFinite } from "./draw_nodes.ts";

/** Logits that one thread of a device compares, or writes. */
export const LOGIT_BLOCK = 256;

/** Blocks of the logits of one token. */
export function rowsOfStep(vocabulary: number): number {
  return Math.ceil(vocabulary / LOGIT_BLOCK);
}

/** Logits `[1, vocabulary]` as `[blocks, 256]`, filled up with what is never the largest. */
export function inBlocks(graph: GraphBuilder, logits: Value, vocabulary: number): Value {
  const spare = rowsOfStep(vocabulary) * LOGIT_BLOCK - vocabulary;
  const filled = spare === 0 ? logits : graph.op("Concat", [
    logits,
    graph.constant(new Float32Array(spare).fill(-3e38), [1, spare]),
  ], { attributes: { axis: { int: 1 } } });
  return graph.op("Reshape", [filled, graph.integers([-1, LOGIT_BLOCK])]);
}

/** The likeliest token, the lowest id of equals, as a float. */
export function likeliest(graph: GraphBuilder, blocks: Value): DrawnToken {
  const largest = (values: Value, axis: number) =>
    cast(
      graph,
      graph.op("ArgMax", [values], { attributes: { axis: { int: axis }, keepdims: { int: 0 } } }),
      "int32",
    );
  const best = graph.op("ReduceMax", [blocks, graph.integers([1])], {
    attributes: { keepdims: { int: 0 } },
  });
  const block = graph.op("Reshape", [largest(best, 0), graph.integers([1])]);
  const within = graph.op("Gather", [largest(blocks, 1), block]);
  const from = graph.op("Mul", [block, graph.constant(Int32Array.of(LOGIT_BLOCK), [1])]);
  return {
    id: cast(graph, graph.op("Add", [from, within]), "float32"),
    certain: isFinite(graph, graph.op("Gather", [best, block])),
  };
}
