import { cast } from "../onnx/cast.ts";
import type { GraphBuilder, Value } from "../onnx/graph.ts";

/** Some tokens, the likeliest among them. */
export interface LikelierTokens {
  /** Their logits, `[1, width]`. */
  readonly values: Value;
  /** Their ids, as floats `[1, width]`. */
  readonly ids: Value;
  readonly width: number;
}

/** Numbers of which each is compared with each, at most. */
export const MOST_COMPARED = 2048;

/**
 * Finds tokens among which the `count` likeliest are, the lower id of equals first. Only blocks with the
 * largest maxima can hold them: as many blocks as tokens are wanted. Nothing is sorted, which would take a
 * device a hundred kernels.
 *
 * @param logits `[1, size]`.
 * @param size A power of two times something.
 */
export function likelierTokens(
  graph: GraphBuilder,
  logits: Value,
  size: number,
  count: number,
): LikelierTokens {
  const range = (length: number, step: number) =>
    graph.constant(Float32Array.from({ length }, (_, index) => index * step), [1, length]);
  let found: LikelierTokens = { values: logits, ids: range(size, 1), width: size };
  for (let width = size; width > MOST_COMPARED;) {
    let block = 2;
    while (width / block > MOST_COMPARED) block *= 2;
    const blocks = width / block;
    const inBlocks = (row: Value) => graph.op("Reshape", [row, graph.integers([blocks, block])]);
    const values = inBlocks(found.values);
    const ids = inBlocks(found.ids);
    const asRow = (value: Value) => graph.op("Reshape", [value, graph.integers([1, blocks])]);
    const maxima = asRow(
      graph.op("ReduceMax", [values, graph.integers([1])], {
        attributes: { keepdims: { int: 0 } },
      }),
    );
    const firsts = asRow(
      graph.op("Slice", [
        ids,
        ...[[0], [1], [1]].map((list) => graph.integers(list)),
      ]),
    );
    const ranks = graph.op("ReduceSum", [
      beforeEach(graph, maxima, firsts, blocks),
      graph.integers([1]),
    ], { attributes: { keepdims: { int: 0 } } });
    const isOfRank = graph.op("Equal", [
      asRow(ranks),
      graph.op("Reshape", [range(count, 1), graph.integers([count, 1])]),
    ]);
    const chosen = cast(
      graph,
      graph.op("ArgMax", [cast(graph, isOfRank, "float32")], {
        attributes: { axis: { int: 1 }, keepdims: { int: 0 } },
      }),
      "int32",
    );
    width = count * block;
    const row = (of: Value) =>
      graph.op("Reshape", [graph.op("Gather", [of, chosen]), graph.integers([1, width])]);
    found = { values: row(values), ids: row(ids), width };
  }
  return found;
}

/** For each of `[1, width]` values a row: 1 at those that come before it, the larger and of equals the lower ids. */
export function beforeEach(
  graph: GraphBuilder,
  values: Value,
  ids: Value,
  width: number,
): Value {
  const column = (row: Value) => graph.op("Reshape", [row, graph.integers([width, 1])]);
  const [value, id] = [column(values), column(ids)];
  const yes = (truth: Value) => cast(graph, truth, "float32");
  return graph.op("Where", [
    graph.op("Equal", [values, value]),
    yes(graph.op("Less", [ids, id])),
    yes(graph.op("Greater", [values, value])),
  ]);
}

/** 1 where a number is at least another, else 0. */
export function atLeast(graph: GraphBuilder, a: Value, b: Value): Value {
  return cast(graph, graph.op("GreaterOrEqual", [a, b]), "float32");
}
