import { cast } from "./onnx/cast.ts";
import type { GraphBuilder, Value } from "./onnx/graph.ts";

/**
 * New tokens whose attention is told apart from that of those behind them: the most that one of them pays. It
 * is done without a branch: there would be one for each part of each layer, and onnxruntime keeps a graph for
 * each side of it, which took 75 MB of a model with 24 layers.
 */
export interface Apart {
  /** How many, from the first on, and at least one, `[1]`. */
  readonly tokens: Value;
  /** 1 where there are any, else 0, `[1]`, as a float. */
  readonly share: Value;
  /** How many of their numbers are given, at most, `[1]`: none where there are none. */
  readonly end: Value;
}

/** Starts an {@linkcode Apart}. @param tokens How many, `[1]`, 0 for none. */
export function toldApart(builder: GraphBuilder, tokens: Value): Apart {
  const any = builder.op("Min", [tokens, builder.integers([1])]);
  return {
    tokens: builder.op("Max", [tokens, builder.integers([1])]),
    share: cast(builder, any, "float32"),
    end: builder.op("Mul", [any, builder.integers([2 ** 31 - 1])]),
  };
}

/**
 * Attention that each key received, summed over new tokens, as flat numbers: rows of all heads one behind
 * the other. Where first tokens are told apart, the most that one of them pays comes first, then the sums of
 * the others.
 *
 * @param weights Of one part of the heads after the other, `[heads, T, N]`.
 */
export function attentionSums(
  builder: GraphBuilder,
  weights: readonly Value[],
  apart: Apart | undefined,
): Value {
  if (!apart) return joined(builder, weights.map((part) => rowSums(builder, part)));
  const parts = weights.map((part) => apartAndOthers(builder, part, apart));
  return joined(builder, [...parts.map(({ most }) => most), ...parts.map(({ others }) => others)]);
}

/** The most of the first tokens, nothing where none are apart, and the sums of the others. */
function apartAndOthers(
  builder: GraphBuilder,
  weights: Value,
  { tokens, share, end }: Apart,
): { readonly most: Value; readonly others: Value } {
  const rows = builder.op("Slice", [weights, builder.integers([0]), tokens, builder.integers([1])]);
  // The others are most of the rows, which a slice would copy.
  const others = builder.op("Sub", [
    rowSums(builder, weights),
    builder.op("Mul", [rowSums(builder, rows), share]),
  ]);
  const most = overTokens(builder, "ReduceMax", rows);
  return { most: builder.op("Slice", [most, builder.integers([0]), end]), others };
}

function rowSums(builder: GraphBuilder, weights: Value): Value {
  return overTokens(builder, "ReduceSum", weights);
}

// The sum over one axis is ten times as fast as the sum over two.
function overTokens(
  builder: GraphBuilder,
  reduction: "ReduceMax" | "ReduceSum",
  weights: Value,
): Value {
  const reduced = builder.op(reduction, [weights, builder.integers([1])], {
    attributes: { keepdims: { int: 0 } },
  });
  return builder.op("Reshape", [reduced, builder.integers([-1])]);
}

function joined(builder: GraphBuilder, parts: readonly Value[]): Value {
  const [only = "", ...others] = parts;
  if (others.length === 0) return only;
  return builder.op("Concat", parts, { attributes: { axis: { int: 0 } } });
}
