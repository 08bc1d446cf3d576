import type { GraphBuilder, Value } from "./onnx/graph.ts";
import { roundBlocks } from "./round_blocks.ts";

/**
 * Arithmetic that a step decides on, so that prompts and answers share one packed copy of each matrix:
 * bytes for the token of an answer, and for those of a prompt bytes twice, the second time for what the
 * rounding left over, which is as exact as floats.
 */
export interface StepArithmetic {
  /** Whether products are to be as exact as in floats, a boolean scalar. */
  readonly exact: Value;
  /** New tokens, `[1]`. */
  readonly tokens: Value;
  /** Rows that were divided already, by their names: products of the same rows share them. */
  readonly divided: Map<Value, Value>;
}

/** Starts a {@linkcode StepArithmetic}. */
export function stepArithmetic(exact: Value, tokens: Value): StepArithmetic {
  return { exact, tokens, divided: new Map() };
}

/**
 * Rows, and below them what is lost when they are rounded to bytes, where products are to be exact.
 *
 * @param rows `[T, columns]`.
 * @returns `[T, columns]` or `[2 · T, columns]`.
 */
export function dividedRows(
  builder: GraphBuilder,
  rows: Value,
  columns: number,
  exact: Value,
): Value {
  const both = builder.branch("exact");
  const rounded = roundBlocks(both, rows, columns);
  const stacked = both.op("Concat", [rounded, both.op("Sub", [rows, rounded])], {
    attributes: { axis: { int: 0 } },
  });
  both.output(stacked, "float32", ["F", columns]);
  const plain = builder.branch("plain");
  plain.output(plain.op("Identity", [rows]), "float32", ["F", columns]);
  return builder.op("If", [exact], {
    attributes: {
      then_branch: { graph: both.build() },
      else_branch: { graph: plain.build() },
    },
  });
}

/**
 * A product that is one node for prompts and answers.
 *
 * @param multiply The product in bytes of some rows.
 * @param size Of the matrix: what `multiply` gives has so many columns as it has rows.
 */
export function sharedProduct(
  builder: GraphBuilder,
  rows: Value,
  { exact, tokens, divided }: StepArithmetic,
  size: { readonly rows: number; readonly columns: number },
  multiply: (factors: Value) => Value,
): Value {
  const factors = divided.get(rows) ?? dividedRows(builder, rows, size.columns, exact);
  divided.set(rows, factors);
  const shape = builder.op("Concat", [
    builder.integers([-1]),
    tokens,
    builder.integers([size.rows]),
  ], {
    attributes: { axis: { int: 0 } },
  });
  const parts = builder.op("Reshape", [multiply(factors), shape]);
  return builder.op("ReduceSum", [parts, builder.integers([0])], {
    attributes: { keepdims: { int: 0 } },
  });
}
