import { type Apart, attentionSums } from "./attention_sums.ts";
import type { GraphBuilder, Value } from "./onnx/graph.ts";
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

/** Tensors of one layer's attention. New tokens are token-major, `[1, tokens, heads · headDim]`. */
export interface AttentionInputs {
  readonly queries: Value;
  readonly keys: Value;
  readonly values: Value;
  /** As {@linkcode liesByHead} says. */
  readonly pastKeys: Value;
  readonly pastValues: Value;
}

/** Lengths that the attention of a layer wants. */
export interface SequenceLengths {
  /** Cached and new tokens, less one, int32 `[1]`. */
  readonly last: Value;
  /** Cached and new tokens, int32 `[1]`. */
  readonly total: Value;
}

/** What an attention gives. */
export interface Attended {
  /** `[1, S, heads · headDim]`. */
  readonly mixed: Value;
  /**
   * Attention that each key received, summed over the new tokens: `[heads, P + S]`, flat; twice where some
   * are summed apart.
   */
  readonly attentionSums?: Value;
  /**
   * Keys and values of the past with those of the new tokens behind them, `[1, kvHeads, C, headDim]`: the
   * same memory, if whoever runs the graph says so.
   */
  readonly present?: Present;
}

/** Keys and values, cached and new. */
export interface Present {
  readonly keys: Value;
  readonly values: Value;
}

/**
 * Whether the past of a layer lies as the operator reads and writes it, `[1, kvHeads, C, headDim]`: each
 * head holds the first of its `C` slots. Otherwise it is what the layer shows, `[P, kvHeads, headDim]`.
 */
export function liesByHead({ kvHeads }: HeadShape, window: number | undefined): boolean {
  // With one KV head the two are the same.
  return window === undefined || kvHeads === 1;
}

/** Whether the operator can write new entries behind those of the past: it takes heads of whole eights. */
export function growsInPlace(shape: HeadShape, window: number | undefined): boolean {
  return liesByHead(shape, window) && shape.headDim % 8 === 0;
}

/** How {@linkcode groupQueryAttention} departs from the usual one. */
export interface AttentionOptions {
  /** Tokens that a query sees at most, itself among them. @default {all} */
  readonly window?: number | undefined;
  /** Whether what each key receives is summed. @default {false} */
  readonly observed?: boolean;
  /** New tokens that are summed apart. @default {none} */
  readonly apart?: Apart | undefined;
  /**
   * Whether the operator lays attention weights out whole, instead of block by block: faster for many new
   * tokens, slower for one. @default {false}
   */
  readonly whole?: boolean;
}

/** Causal attention of new tokens over the past, which may be empty, and themselves. */
export function groupQueryAttention(
  builder: GraphBuilder,
  shape: AttentionShape,
  inputs: AttentionInputs,
  lengths: SequenceLengths,
  { observed = false, whole = false, window, apart }: AttentionOptions = {},
): Attended {
  const { heads, kvHeads, headDim, attentionScale } = shape;
  // The operator takes heads of whole eights: others are filled up with zeros, which add nothing.
  const paddedDim = 8 * Math.ceil(headDim / 8);
  const pad = (value: Value) =>
    builder.op("Pad", [value, builder.integers([0, 0, 0, 0, 0, 0, 0, paddedDim - headDim])]);
  const perHead = (value: Value, count: number) =>
    builder.op("Reshape", [value, builder.integers([1, -1, count, headDim])]);
  const filled = (value: Value, count: number) =>
    paddedDim === headDim ? value : builder.op("Reshape", [
      pad(perHead(value, count)),
      builder.integers([1, -1, count * paddedDim]),
    ]);
  const byHead = (past: Value) => {
    const apart = liesByHead(shape, window)
      ? past
      : builder.op("Transpose", [perHead(past, kvHeads)], {
        attributes: { perm: { ints: [0, 2, 1, 3] } },
      });
    return paddedDim === headDim ? apart : pad(apart);
  };
  const [output = "", keys = "", values = "", weights = ""] = builder.ops(
    "GroupQueryAttention",
    [
      filled(inputs.queries, heads),
      filled(inputs.keys, kvHeads),
      filled(inputs.values, kvHeads),
      byHead(inputs.pastKeys),
      byHead(inputs.pastValues),
      lengths.last,
      lengths.total,
      ...(whole && !observed ? wholeInputs(builder, heads) : []),
    ],
    observed ? 4 : 3,
    {
      domain: MICROSOFT,
      attributes: {
        num_heads: { int: heads },
        kv_num_heads: { int: kvHeads },
        scale: { float: attentionScale },
        // 2: the weights after the softmax.
        qk_output: { int: observed ? 2 : 0 },
        ...(window === undefined ? {} : { local_window_size: { int: window } }),
      },
    },
  );
  return {
    mixed: paddedDim === headDim ? output : withoutPadding(builder, shape, output, paddedDim),
    ...(observed ? { attentionSums: observedSums(builder, weights, apart) } : {}),
    ...(growsInPlace(shape, window) ? { present: { keys, values } } : {}),
  };
}

/**
 * Inputs that have the operator lay its weights out: rotary tables, positions, a bias, all absent, and a
 * sink for each head. Its sinks take no attention: e to the power of that is zero.
 */
function wholeInputs(builder: GraphBuilder, heads: number): Value[] {
  return ["", "", "", "", builder.constant(new Float32Array(heads).fill(-1e30), [heads])];
}

function withoutPadding(
  builder: GraphBuilder,
  { heads, headDim }: HeadShape,
  output: Value,
  paddedDim: number,
): Value {
  const mixed = builder.op("Slice", [
    builder.op("Reshape", [output, builder.integers([-1, heads, paddedDim])]),
    builder.integers([0]),
    builder.integers([headDim]),
    builder.integers([2]),
  ]);
  return builder.op("Reshape", [mixed, builder.integers([1, -1, heads * headDim])]);
}

/** Attention received where none is observed. */
export function nothing(builder: GraphBuilder): Value {
  return builder.op("Identity", [builder.constant(new Float32Array(0), [0])]);
}

// Weights are [1, heads, S, N].
function observedSums(builder: GraphBuilder, weights: Value, apart: Apart | undefined): Value {
  const perHead = builder.op("Squeeze", [weights, builder.integers([0])]);
  return attentionSums(builder, [perHead], apart);
}

/**
 * Attention of one new token over a token-major past that is not empty, `[1, 1, heads · headDim]`.
 *
 * The query heads of a KV head are the rows of one product with its keys, and one with its values. These
 * stride through the past as it lies; past and new are never concatenated.
 */
export function tokenMajorAttention(
  builder: GraphBuilder,
  { heads, kvHeads, headDim, attentionScale }: AttentionShape,
  { queries, keys, values, pastKeys, pastValues }: AttentionInputs,
): Attended {
  const byHead = (value: Value, rows: number): Value =>
    builder.op("Reshape", [value, builder.integers([kvHeads, rows, headDim])]);
  const scores = (rows: Value, matrix: Value, strided: boolean): Value =>
    builder.op("FusedMatMul", [rows, matrix], {
      domain: MICROSOFT,
      attributes: {
        transB: { int: 1 },
        alpha: { float: attentionScale },
        ...(strided ? { transBatchB: { int: 1 } } : {}),
      },
    });
  const rows = byHead(queries, heads / kvHeads);
  const all = [scores(rows, pastKeys, true), scores(rows, byHead(keys, 1), false)];
  const weights = builder.op("Softmax", [
    builder.op("Concat", all, { attributes: { axis: { int: 2 } } }),
  ], { attributes: { axis: { int: -1 } } });
  const length = builder.op("Shape", [pastKeys], {
    attributes: { start: { int: 0 }, end: { int: 1 } },
  });
  const parts = builder.op("Concat", [length, builder.integers([1])], {
    attributes: { axis: { int: 0 } },
  });
  const [past = "", own = ""] = builder.ops("Split", [weights, parts], 2, {
    attributes: { axis: { int: -1 } },
  });
  const sum = builder.op("Add", [
    builder.op("FusedMatMul", [past, pastValues], {
      domain: MICROSOFT,
      attributes: { transBatchB: { int: 1 } },
    }),
    builder.op("Mul", [own, byHead(values, 1)]),
  ]);
  return { mixed: builder.op("Reshape", [sum, builder.integers([1, 1, heads * headDim])]) };
}
