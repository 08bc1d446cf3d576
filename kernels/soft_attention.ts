import type { AttentionShape } from "./attention_nodes.ts";
import { type GraphBuilder, MICROSOFT, type Value } from "./onnx/graph.ts";

/** Sizes of the attention of soft tokens. */
export interface SoftShape extends AttentionShape {
  /** Soft tokens. */
  readonly tokens: number;
}

/** How far back a layer sees. */
export interface SoftWindow {
  /** Tokens that a query sees at most, itself among them. */
  readonly window: number;
  /** {@linkcode pastMask} of the window, `[1, tokens, 1, P]`. */
  readonly mask: Value;
}

/** Softmax weights of soft tokens, in the form that everything after them wants. */
export type SoftWeights = Value;

// Query heads of one KV head stand under each other, token by token, so that all of them meet its
// keys in one product: [kvHeads, tokens · group, ·]. The past is read as it lies, [P, kvHeads, ·].
function grouped(builder: GraphBuilder, shape: SoftShape, rows: Value): Value {
  const { heads, kvHeads, headDim, tokens } = shape;
  const group = heads / kvHeads;
  const apart = builder.op("Reshape", [
    rows,
    builder.integers([tokens, kvHeads, group * headDim]),
  ]);
  return builder.op("Reshape", [
    builder.op("Transpose", [apart], { attributes: { perm: { ints: [1, 0, 2] } } }),
    builder.integers([kvHeads, tokens * group, headDim]),
  ]);
}

function perKvHead(builder: GraphBuilder, { kvHeads, headDim, tokens }: SoftShape, rows: Value) {
  return builder.op("Reshape", [rows, builder.integers([tokens, kvHeads, headDim])]);
}

function byToken(builder: GraphBuilder, { heads, kvHeads, tokens }: SoftShape, value: Value) {
  return builder.op("Reshape", [
    value,
    builder.integers([kvHeads, tokens, heads / kvHeads, -1]),
  ]);
}

/**
 * Weights of soft tokens over the past and, causally, themselves: `[kvHeads, tokens, group, P + tokens]`.
 *
 * @param pastKeys `[P, kvHeads, headDim]`, P at least 1.
 * @param sliding Absent: all of the past is seen.
 */
export function softWeights(
  builder: GraphBuilder,
  shape: SoftShape,
  { queries, keys, pastKeys }: { queries: Value; keys: Value; pastKeys: Value },
  sliding?: SoftWindow,
): SoftWeights {
  const { tokens, attentionScale } = shape;
  const rows = grouped(builder, shape, queries);
  const scores = (against: Value) =>
    byToken(
      builder,
      shape,
      builder.op("FusedMatMul", [rows, against], {
        domain: MICROSOFT,
        attributes: {
          transB: { int: 1 },
          transBatchB: { int: 1 },
          alpha: { float: attentionScale },
        },
      }),
    );
  const own = builder.op("Add", [
    scores(perKvHead(builder, shape, keys)),
    causalMask(builder, tokens, sliding?.window),
  ]);
  const whole = scores(pastKeys);
  const past = sliding ? builder.op("Add", [whole, sliding.mask]) : whole;
  const all = builder.op("Concat", [past, own], { attributes: { axis: { int: 3 } } });
  return builder.op("Softmax", [all], { attributes: { axis: { int: -1 } } });
}

function causalMask(builder: GraphBuilder, tokens: number, window = Infinity): Value {
  const mask = Float32Array.from({ length: tokens * tokens }, (_, index) => {
    const back = Math.floor(index / tokens) - index % tokens;
    return back >= 0 && back < window ? 0 : -Infinity;
  });
  return builder.constant(mask, [1, tokens, 1, tokens]);
}

/**
 * Which of the last cached tokens each soft token still sees, `[tokens, past]`: zero, and minus
 * infinity for those that have left its window.
 */
export function pastMask(
  { tokens, past, window }: { tokens: number; past: number; window: number },
): Float32Array {
  return Float32Array.from({ length: tokens * past }, (_, index) => {
    const back = Math.floor(index / past) + past - index % past;
    return back < window ? 0 : -Infinity;
  });
}

/**
 * Values mixed by the weights, `[tokens, heads · headDim]`.
 *
 * @param parts Past and soft tokens, int64 `[2]`.
 */
export function softMix(
  builder: GraphBuilder,
  shape: SoftShape,
  weights: SoftWeights,
  { values, pastValues, parts }: { values: Value; pastValues: Value; parts: Value },
): Value {
  const { heads, kvHeads, headDim, tokens } = shape;
  const group = heads / kvHeads;
  const [past = "", own = ""] = builder.ops("Split", [weights, parts], 2, {
    attributes: { axis: { int: 3 } },
  });
  const mix = (part: Value, against: Value) => {
    const rows = builder.op("Reshape", [
      part,
      builder.integers([kvHeads, tokens * group, -1]),
    ]);
    return builder.op("FusedMatMul", [rows, against], {
      domain: MICROSOFT,
      attributes: { transBatchB: { int: 1 } },
    });
  };
  const mixed = builder.op("Add", [
    mix(past, pastValues),
    mix(own, perKvHead(builder, shape, values)),
  ]);
  const apart = builder.op("Reshape", [
    mixed,
    builder.integers([kvHeads, tokens, group * headDim]),
  ]);
  return builder.op("Reshape", [
    builder.op("Transpose", [apart], { attributes: { perm: { ints: [1, 0, 2] } } }),
    builder.integers([tokens, heads * headDim]),
  ]);
}

/**
 * Attention to the past, mean over the soft tokens of each group, `[1, groups · heads, P]`.
 *
 * @param groups Equally many tokens in a row each.
 */
export function meanPastAttention(
  builder: GraphBuilder,
  { heads, kvHeads, tokens }: SoftShape,
  weights: SoftWeights,
  groups: number,
): Value {
  const apart = builder.op("Reshape", [
    weights,
    builder.integers([kvHeads, groups, tokens / groups, heads / kvHeads, -1]),
  ]);
  const mean = builder.op("ReduceMean", [apart, builder.integers([2])], {
    attributes: { keepdims: { int: 0 } },
  });
  const past = builder.op("Slice", [
    mean,
    builder.integers([0]),
    builder.integers([-tokens]),
    builder.integers([3]),
  ]);
  const byGroup = builder.op("Transpose", [past], { attributes: { perm: { ints: [1, 0, 2, 3] } } });
  return builder.op("Reshape", [byGroup, builder.integers([1, groups * heads, -1])]);
}
