import type { GraphBuilder, Value } from "./onnx/graph.ts";

/** New tokens whose attention is summed apart from that of those behind them. */
export interface Apart {
  /** How many, from the first on, `[1]`. */
  readonly tokens: Value;
  /** Whether there are any, a boolean scalar. */
  readonly wanted: Value;
}

/**
 * Attention that each key received, summed over new tokens, as flat numbers: rows of all heads one behind
 * the other. Where first tokens are summed apart, their sums come first, then those of the others.
 *
 * @param weights Of one part of the heads after the other, `[heads, T, N]`.
 */
export function attentionSums(
  builder: GraphBuilder,
  weights: readonly Value[],
  apart: Apart | undefined,
): Value {
  if (!apart) return joined(builder, weights.map((part) => rowSums(builder, part)));
  const sums = weights.map((part) => sumsApart(builder, part, apart));
  return joined(builder, [...sums.map(({ first }) => first), ...sums.map(({ others }) => others)]);
}

/** Sums of the first tokens, which are none where none are apart, and of the others. */
function sumsApart(
  builder: GraphBuilder,
  weights: Value,
  { tokens, wanted }: Apart,
): { readonly first: Value; readonly others: Value } {
  const both = builder.branch("apart");
  const rows = both.op("Slice", [weights, both.integers([0]), tokens, both.integers([1])]);
  const ofFirst = rowSums(both, rows);
  both.output(ofFirst, "float32", ["A"]);
  // The others are most of the rows, which a slice would copy. Rounding makes no attention less than none.
  const rest = both.op("Sub", [rowSums(both, weights), ofFirst]);
  both.output(both.op("Relu", [rest]), "float32", ["N"]);
  const alike = builder.branch("alike");
  const none = alike.op("Identity", [alike.constant(new Float32Array(0), [0])]);
  alike.output(none, "float32", ["A"]);
  alike.output(rowSums(alike, weights), "float32", ["N"]);
  const [first = "", others = ""] = builder.ops("If", [wanted], 2, {
    attributes: {
      then_branch: { graph: both.build() },
      else_branch: { graph: alike.build() },
    },
  });
  return { first, others };
}

// The sum over one axis is ten times as fast as the sum over two.
function rowSums(builder: GraphBuilder, weights: Value): Value {
  const sums = builder.op("ReduceSum", [weights, builder.integers([1])], {
    attributes: { keepdims: { int: 0 } },
  });
  return builder.op("Reshape", [sums, builder.integers([-1])]);
}

function joined(builder: GraphBuilder, parts: readonly Value[]): Value {
  const [only = "", ...others] = parts;
  if (others.length === 0) return only;
  return builder.op("Concat", parts, { attributes: { axis: { int: 0 } } });
}
