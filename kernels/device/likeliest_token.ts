import { cast } from "../onnx/cast.ts";
import type { GraphBuilder, Value } from "../onnx/graph.ts";
import { type DrawnToken, isFinite } from "./draw_nodes.ts";
import { firstLargest } from "./first_largest.ts";

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

/**
 * The likeliest token, the lowest id of equals, as a float.
 *
 * @param blocks `[blocks, 256]`, as {@linkcode inBlocks} gives them.
 */
export function likeliest(graph: GraphBuilder, blocks: Value, vocabulary: number): DrawnToken {
  const rows = rowsOfStep(vocabulary);
  const largestOf = (values: Value, axis: number) =>
    graph.op("ReduceMax", [values, graph.integers([axis])], {
      attributes: { keepdims: { int: 0 } },
    });
  const placeOf = (values: Value, largest: Value, axis: number, count: number) =>
    graph.op("Reshape", [
      firstLargest(graph, values, {
        largest,
        axis,
        places: graph.constant(Float32Array.from({ length: count }, (_, place) => place), [count]),
        last: graph.constant(Float32Array.of(count - 1), [1]),
      }),
      graph.integers([1]),
    ]);
  const best = largestOf(blocks, 1);
  const most = graph.op("Reshape", [largestOf(best, 0), graph.integers([1])]);
  const block = placeOf(best, most, 0, rows);
  const row = graph.op("Gather", [blocks, cast(graph, block, "int32")]);
  const within = placeOf(row, most, 1, LOGIT_BLOCK);
  const from = graph.op("Mul", [block, graph.constant(Float32Array.of(LOGIT_BLOCK), [1])]);
  return { id: graph.op("Add", [from, within]), certain: isFinite(graph, most) };
}
