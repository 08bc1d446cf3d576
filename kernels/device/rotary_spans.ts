import type { GraphBuilder, Value } from "../onnx/graph.ts";
import type { RotaryValues } from "../query_statistics.ts";
import type { RotaryFrequencies } from "../rope.ts";
import { floats, type Tensor } from "../session.ts";

/** Positions of a fine table: a rotation is the first token's, one of the coarse table's and one of the fine one's. */
const FINE = 32;

/** Rows of a coarse table, at least: enough for the chunks that are read by default. */
const LEAST_COARSE = 32;

/** Names of a table's inputs that are the same for each run of positions. */
const PARTS = ["coarse_cos", "coarse_sin", "fine_cos", "fine_sin"] as const;

/**
 * What rotations of so many positions that follow one another are made of, wherever these begin: for each power of
 * two the same few rows, which can be sent once.
 */
export function spanParts(
  frequencies: RotaryFrequencies,
  tokens: number,
  table: number,
): Readonly<Record<string, Tensor>> {
  const rows = Math.ceil(tokens / FINE);
  const coarse = 2 ** Math.ceil(Math.log2(Math.max(LEAST_COARSE, rows)));
  const half = frequencies.length;
  const of = (count: number, step: number, turn: (angle: number) => number): Tensor =>
    floats(
      Float32Array.from(
        { length: count * half },
        (_, at) => turn(Math.floor(at / half) * step * (frequencies[at % half] ?? 0)),
      ),
      [count, half],
    );
  const arrays = {
    coarse_cos: of(coarse, FINE, Math.cos),
    coarse_sin: of(coarse, FINE, Math.sin),
    fine_cos: of(FINE, 1, Math.cos),
    fine_sin: of(FINE, 1, Math.sin),
  };
  return Object.fromEntries(PARTS.map((part) => [`${part}.${table}`, arrays[part]]));
}

/** Rotations of the first positions of some spans, `[spans, 2, headDim / 2]`: all that depends on where they begin. */
export function spanStarts(
  spans: readonly { readonly frequencies: RotaryFrequencies; readonly start: number }[],
): Tensor {
  const half = spans[0]?.frequencies.length ?? 0;
  const rows = spans.flatMap(({ frequencies, start }) =>
    [Math.cos, Math.sin].flatMap((turn) =>
      Array.from(frequencies, (frequency) => turn(start * frequency))
    )
  );
  return floats(Float32Array.from(rows), [spans.length, 2, half]);
}

/**
 * Declares the parts of tables, `starts` and `added [1]` (how many tokens there are), and computes the tables,
 * `[tokens, 1, headDim / 2]` each.
 */
export function declareSpans(
  graph: GraphBuilder,
  tables: number,
  half: number,
): readonly RotaryValues[] {
  graph.input("starts", "float32", [tables, 2, half]);
  graph.input("added", "int64", [1]);
  return Array.from({ length: tables }, (_, table) => {
    for (const part of PARTS) graph.input(`${part}.${table}`, "float32", [`${part}_rows`, half]);
    const start = graph.op("Gather", [
      "starts",
      graph.constant(BigInt64Array.of(BigInt(table)), []),
    ]);
    const [cos = "", sin = ""] = graph.ops("Split", [start, graph.integers([1, 1])], 2, {
      attributes: { axis: { int: 0 } },
    });
    const coarse = turnedBy(graph, partsOf("coarse", table), { cos, sin });
    const apart = (value: Value, axis: number) =>
      graph.op("Unsqueeze", [value, graph.integers([axis])]);
    const fine = partsOf("fine", table);
    const all = turnedBy(
      graph,
      { cos: apart(coarse.cos, 1), sin: apart(coarse.sin, 1) },
      { cos: apart(fine.cos, 0), sin: apart(fine.sin, 0) },
    );
    const rows = (value: Value) =>
      graph.op("Slice", [
        graph.op("Reshape", [value, graph.integers([-1, 1, half])]),
        graph.integers([0]),
        "added",
        graph.integers([0]),
      ]);
    return { cos: rows(all.cos), sin: rows(all.sin) };
  });
}

function partsOf(part: "coarse" | "fine", table: number): RotaryValues {
  return { cos: `${part}_cos.${table}`, sin: `${part}_sin.${table}` };
}

/** Rotations, turned further by others: angles are added. */
function turnedBy(graph: GraphBuilder, a: RotaryValues, b: RotaryValues): RotaryValues {
  const product = (one: Value, other: Value) => graph.op("Mul", [one, other]);
  return {
    cos: graph.op("Sub", [product(a.cos, b.cos), product(a.sin, b.sin)]),
    sin: graph.op("Add", [product(a.sin, b.cos), product(a.cos, b.sin)]),
  };
}
