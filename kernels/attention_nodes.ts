import type { Graph, GraphBuilder, Value } from "./onnx/graph.ts";
import { MICROSOFT } from "./onnx/graph.ts";

/** Head counts and head size of an attention layer. */
export interface HeadShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** What attention is computed by. */
export interface AttentionShape extends HeadShape {
  /** Factor on products of queries and keys. */
  readonly attentionScale: number;
}

/** Tensors of one layer's attention. */
export interface AttentionInputs {
  /** Of new tokens, `[1, tokens, heads · headDim]`, as are keys and values. */
  readonly queries: Value;
  readonly keys: Value;
  readonly values: Value;
  /** What is cached, `[tokens, kvHeads, headDim]`, as are the values. */
  readonly pastKeys: Value;
  readonly pastValues: Value;
}

/** Lengths that the prefill attention wants, made once per graph. */
export interface SequenceLengths {
  /** Cached and new tokens, less one, int32 `[1]`. */
  readonly last: Value;
  /** Cached and new tokens, int32 scalar. */
  readonly total: Value;
}

/** What the prefill attention gives. */
export interface PrefillAttention {
  /** `[1, S, heads · headDim]`. */
  readonly mixed: Value;
  /** Attention that each key received, summed over the new tokens: `[heads, P + S]`, flat. */
  readonly attentionSums: Value;
}

/**
 * Causal attention of many new tokens over the past, which may be empty, and themselves.
 *
 * @param observe A boolean scalar. Where it is false, `attentionSums` is empty and costs nothing.
 */
export function prefillAttention(
  builder: GraphBuilder,
  shape: AttentionShape,
  inputs: AttentionInputs,
  lengths: SequenceLengths,
  observe: Value,
): PrefillAttention {
  const { heads, headDim } = shape;
  const branch = (name: string, observed: boolean): Graph => {
    const inner = builder.branch(name);
    const { mixed, weights } = groupQueryAttention(inner, shape, inputs, lengths, {
      withWeights: observed,
    });
    inner.output(mixed, "float32", [1, "T", heads * headDim]);
    inner.output(observed ? attentionSums(inner, weights) : nothing(inner), "float32", ["N"]);
    return inner.build();
  };
  const [mixed = "", sums = ""] = builder.ops("If", [observe], 2, {
    attributes: {
      then_branch: { graph: branch("observed", true) },
      else_branch: { graph: branch("unobserved", false) },
    },
  });
  return { mixed, attentionSums: sums };
}

/**
 * Attention of many new tokens in a layer that slides: each sees itself and the `window − 1` tokens before
 * it, of which those that are not new are the past.
 */
export function slidingAttention(
  builder: GraphBuilder,
  shape: AttentionShape,
  inputs: AttentionInputs,
  lengths: SequenceLengths,
  window: number,
): Value {
  return groupQueryAttention(builder, shape, inputs, lengths, { window }).mixed;
}

/** Attention received where none is observed. */
export function nothing(builder: GraphBuilder): Value {
  return builder.op("Identity", [builder.constant(new Float32Array(0), [0])]);
}

function groupQueryAttention(
  builder: GraphBuilder,
  { heads, kvHeads, headDim, attentionScale }: AttentionShape,
  inputs: AttentionInputs,
  lengths: SequenceLengths,
  { withWeights = false, window }: { withWeights?: boolean; window?: number },
): { mixed: Value; weights: Value } {
  // The operator takes heads of whole eights: others are filled up with zeros, which add nothing.
  const paddedDim = 8 * Math.ceil(headDim / 8);
  const perHead = (value: Value, count: number) => {
    const apart = builder.op("Reshape", [value, builder.integers([1, -1, count, headDim])]);
    if (paddedDim === headDim) return apart;
    return builder.op("Pad", [apart, builder.integers([0, 0, 0, 0, 0, 0, 0, paddedDim - headDim])]);
  };
  const filled = (value: Value, count: number) =>
    paddedDim === headDim ? value : builder.op("Reshape", [
      perHead(value, count),
      builder.integers([1, -1, count * paddedDim]),
    ]);
  const headMajor = (value: Value) =>
    // With one KV head the order is the same already: nothing is copied.
    kvHeads === 1 && paddedDim === headDim
      ? builder.op("Reshape", [value, builder.integers([1, 1, -1, headDim])])
      : builder.op("Transpose", [perHead(value, kvHeads)], {
        attributes: { perm: { ints: [0, 2, 1, 3] } },
      });
  const [output = "", , , weights = ""] = builder.ops(
    "GroupQueryAttention",
    [
      filled(inputs.queries, heads),
      filled(inputs.keys, kvHeads),
      filled(inputs.values, kvHeads),
      headMajor(inputs.pastKeys),
      headMajor(inputs.pastValues),
      lengths.last,
      lengths.total,
    ],
    withWeights ? 4 : 3,
    {
      domain: MICROSOFT,
      attributes: {
        num_heads: { int: heads },
        kv_num_heads: { int: kvHeads },
        scale: { float: attentionScale },
        // 2: the weights after the softmax.
        qk_output: { int: withWeights ? 2 : 0 },
        ...(window === undefined ? {} : { local_window_size: { int: window } }),
      },
    },
  );
  if (paddedDim === headDim) return { mixed: output, weights };
  const mixed = builder.op("Slice", [
    builder.op("Reshape", [output, builder.integers([-1, heads, paddedDim])]),
    builder.integers([0]),
    builder.integers([headDim]),
    builder.integers([2]),
  ]);
  return {
    mixed: builder.op("Reshape", [mixed, builder.integers([1, -1, heads * headDim])]),
    weights,
  };
}

// [1, heads, S, N] → [heads · N]. The sum over one axis is ten times as fast as the sum over two.
function attentionSums(builder: GraphBuilder, weights: Value): Value {
  const perHead = builder.op("Squeeze", [weights, builder.integers([0])]);
  const sums = builder.op("ReduceSum", [perHead, builder.integers([1])], {
    attributes: { keepdims: { int: 0 } },
  });
  return builder.op("Reshape", [sums, builder.integers([-1])]);
}

/** What one sequence holds, `[tokens, kvHeads, headDim]` each, and its length. */
export interface PastTensors {
  readonly keys: Value;
  readonly values: Value;
  /** Cached tokens and one, int64 `[2]`. */
  readonly parts: Value;
}

/**
 * Attention of one new token of each of some sequences over their pasts, none of which is empty:
 * `[1, sequences, heads · headDim]`.
 *
 * The query heads of a KV head are the rows of one product with its keys, and one with its values. These
 * stride through the cache as it lies; past and new are never concatenated.
 *
 * @param tokens As many as there are pasts, `[1, sequences, heads · headDim]`.
 */
export function decodeAttention(
  builder: GraphBuilder,
  { heads, kvHeads, headDim, attentionScale }: AttentionShape,
  tokens: Pick<AttentionInputs, "queries" | "keys" | "values">,
  pasts: readonly PastTensors[],
): Value {
  const group = heads / kvHeads;
  const byHead = (value: Value, rows: number): Value =>
    builder.op("Reshape", [value, builder.integers([pasts.length * kvHeads, rows, headDim])]);
  const multiply = (
    rows: Value,
    matrix: Value,
    attributes: readonly ("transB" | "transBatchB")[],
  ) =>
    builder.op("FusedMatMul", [rows, matrix], {
      domain: MICROSOFT,
      attributes: {
        ...Object.fromEntries(attributes.map((name) => [name, { int: 1 }])),
        ...(attributes.includes("transB") ? { alpha: { float: attentionScale } } : {}),
      },
    });
  const [queries, keys] = [byHead(tokens.queries, group), byHead(tokens.keys, 1)];
  const ownScores = ofEach(builder, multiply(queries, keys, ["transB"]), pasts.length, kvHeads);
  const mixed: Value[] = [];
  const ownWeights: Value[] = [];
  for (const [index, one] of ofEach(builder, queries, pasts.length, kvHeads).entries()) {
    const past = pasts[index];
    if (!past) throw new RangeError(`Cannot attend for sequence ${index} of ${pasts.length}`);
    const scores = builder.op("Concat", [
      multiply(one, past.keys, ["transB", "transBatchB"]),
      ownScores[index] ?? "",
    ], { attributes: { axis: { int: 2 } } });
    const weights = builder.op("Softmax", [scores], { attributes: { axis: { int: -1 } } });
    const [ofPast = "", own = ""] = builder.ops("Split", [weights, past.parts], 2, {
      attributes: { axis: { int: -1 } },
    });
    mixed.push(multiply(ofPast, past.values, ["transBatchB"]));
    ownWeights.push(own);
  }
  const sum = builder.op("Add", [
    together(builder, mixed),
    builder.op("Mul", [together(builder, ownWeights), byHead(tokens.values, 1)]),
  ]);
  return builder.op("Reshape", [sum, builder.integers([1, pasts.length, heads * headDim])]);
}

/** Rows of each of some sequences. */
function ofEach(
  builder: GraphBuilder,
  rows: Value,
  sequences: number,
  size: number,
): readonly Value[] {
  if (sequences === 1) return [rows];
  return builder.ops(
    "Split",
    [rows, builder.integers(new Array<number>(sequences).fill(size))],
    sequences,
    { attributes: { axis: { int: 0 } } },
  );
}

function together(builder: GraphBuilder, [first = "", ...others]: readonly Value[]): Value {
  if (others.length === 0) return first;
  return builder.op("Concat", [first, ...others], { attributes: { axis: { int: 0 } } });
}
