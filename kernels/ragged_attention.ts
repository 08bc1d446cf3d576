import type { Attended, AttentionInputs, AttentionShape } from "./attention_nodes.ts";
import { type Apart, attentionSums } from "./attention_sums.ts";
import type { GraphBuilder, Value } from "./onnx/graph.ts";
import { MICROSOFT } from "./onnx/graph.ts";

/** What attention over ragged heads needs besides the layer's tensors. */
export interface RaggedHelpers {
  /** First entry of each KV head's segment, then its last one's successor, int64 `[2 · kvHeads]`. */
  readonly segments: Value;
  /** What hides later new tokens from earlier ones, added to logits, `[T, T]`. */
  readonly causal: Value;
  /** New tokens, int64 `[1]`. */
  readonly tokens: Value;
  /** New tokens that are told apart. @default {none} */
  readonly apart?: Apart | undefined;
}

/** `[T, T]`: 0 where a new token can see another, `-Infinity` elsewhere. */
export function causalMask(builder: GraphBuilder, tokens: Value): Value {
  const square = builder.op("Concat", [tokens, tokens], { attributes: { axis: { int: 0 } } });
  const hidden = builder.op("Expand", [
    builder.constant(Float32Array.of(-Infinity), [1, 1]),
    square,
  ]);
  return builder.op("Trilu", [hidden, builder.integers([1])], {
    attributes: { upper: { int: 1 } },
  });
}

/**
 * Attention of new tokens over a past whose KV heads hold different numbers of tokens, a segment of
 * entries each. What each key received is one row of `[heads of the group, cached and new]` after the
 * other, as flat numbers.
 */
export function raggedAttention(
  builder: GraphBuilder,
  { heads, kvHeads, headDim, attentionScale }: AttentionShape,
  inputs: AttentionInputs,
  { segments, causal, tokens, apart }: RaggedHelpers,
): Attended {
  const group = heads / kvHeads;
  const scale = { alpha: { float: attentionScale }, transB: { int: 1 } };
  /** `[kvHeads, count of heads · T, headDim]` */
  const headMajor = (value: Value, count: number): Value =>
    builder.op("Reshape", [
      builder.op("Transpose", [
        builder.op("Reshape", [value, builder.integers([-1, count, headDim])]),
      ], { attributes: { perm: { ints: [1, 0, 2] } } }),
      builder.integers([kvHeads, -1, headDim]),
    ]);
  const headByHead = (value: Value): Value[] => {
    if (kvHeads === 1) return [value];
    return builder.ops("Split", [value, builder.integers(new Array(kvHeads).fill(1))], kvHeads, {
      attributes: { axis: { int: 0 } },
    });
  };
  const queries = headMajor(inputs.queries, heads);
  const shaped = (value: Value, shape: readonly (number | Value)[]): Value =>
    builder.op("Reshape", [
      value,
      builder.op(
        "Concat",
        shape.map((size) => typeof size === "number" ? builder.integers([size]) : size),
        { attributes: { axis: { int: 0 } } },
      ),
    ]);
  const seen = builder.op("Add", [
    shaped(
      builder.op("FusedMatMul", [queries, headMajor(inputs.keys, kvHeads)], {
        domain: MICROSOFT,
        attributes: scale,
      }),
      [kvHeads, group, tokens, tokens],
    ),
    causal,
  ]);
  const own = headByHead(shaped(seen, [kvHeads, -1, tokens]));
  const ownValues = headByHead(headMajor(inputs.values, kvHeads));
  const ofHead = headByHead(queries);
  const bounds = builder.ops(
    "Split",
    [segments, builder.integers(new Array(2 * kvHeads).fill(1))],
    2 * kvHeads,
    { attributes: { axis: { int: 0 } } },
  );
  const entries = (value: Value) => builder.op("Reshape", [value, builder.integers([-1, headDim])]);
  const [pastKeys, pastValues] = [entries(inputs.pastKeys), entries(inputs.pastValues)];
  const mixed: Value[] = [];
  const observed: Value[] = [];
  for (let head = 0; head < kvHeads; head++) {
    const [start = "", end = ""] = [bounds[head], bounds[kvHeads + head]];
    const segment = (value: Value) =>
      builder.op("Slice", [value, start, end, builder.integers([0])]);
    const logits = builder.op("FusedMatMul", [ofHead[head] ?? "", segment(pastKeys)], {
      domain: MICROSOFT,
      attributes: scale,
    });
    const all = builder.op("Concat", [logits, own[head] ?? ""], {
      attributes: { axis: { int: 2 } },
    });
    const weights = builder.op("Softmax", [all], { attributes: { axis: { int: 2 } } });
    const parts = builder.op("Concat", [builder.op("Sub", [end, start]), tokens], {
      attributes: { axis: { int: 0 } },
    });
    const [past = "", now = ""] = builder.ops("Split", [weights, parts], 2, {
      attributes: { axis: { int: 2 } },
    });
    mixed.push(builder.op("Add", [
      builder.op("MatMul", [past, segment(pastValues)]),
      builder.op("MatMul", [now, ownValues[head] ?? ""]),
    ]));
    observed.push(shaped(weights, [group, tokens, -1]));
  }
  const joined = (values: readonly Value[]): Value =>
    values.length === 1
      ? values[0] ?? ""
      : builder.op("Concat", values, { attributes: { axis: { int: 0 } } });
  const byToken = builder.op("Transpose", [
    shaped(joined(mixed), [heads, -1, headDim]),
  ], { attributes: { perm: { ints: [1, 0, 2] } } });
  return {
    mixed: builder.op("Reshape", [byToken, builder.integers([1, -1, heads * headDim])]),
    attentionSums: attentionSums(builder, observed, apart),
  };
}

/**
 * Attention of one new token over a past whose KV heads hold different numbers of tokens,
 * `[1, 1, heads · headDim]`: one product with all entries, in which a query head sees those of its
 * own segment.
 *
 * @param segments As in {@linkcode RaggedHelpers}.
 */
export function raggedDecodeAttention(
  builder: GraphBuilder,
  { heads, kvHeads, headDim, attentionScale: scale }: AttentionShape,
  { queries, keys, values, pastKeys, pastValues }: AttentionInputs,
  segments: Value,
): Value {
  const group = heads / kvHeads;
  const shaped = (value: Value, ...shape: readonly number[]): Value =>
    builder.op("Reshape", [value, builder.integers(shape)]);
  const last = { attributes: { axis: { int: -1 } } };
  const queryRows = shaped(queries, heads, headDim);
  const entries = shaped(pastKeys, -1, headDim);
  const scores = builder.op("FusedMatMul", [queryRows, entries], {
    domain: MICROSOFT,
    attributes: { alpha: { float: scale }, transB: { int: 1 } },
  });
  const [starts = "", ends = ""] = builder.ops(
    "Split",
    [shaped(segments, 2 * kvHeads, 1, 1), builder.integers([kvHeads, kvHeads])],
    2,
    { attributes: { axis: { int: 0 } } },
  );
  const zero = builder.constant(BigInt64Array.of(0n), []);
  const one = builder.constant(BigInt64Array.of(1n), []);
  const size = builder.op("Shape", [entries], {
    attributes: { start: { int: 0 }, end: { int: 1 } },
  });
  const index = builder.op("Range", [
    zero,
    builder.op("Squeeze", [size, builder.integers([0])]),
    one,
  ]);
  const seen = builder.op("And", [
    builder.op("GreaterOrEqual", [index, starts]),
    builder.op("Less", [index, ends]),
  ]);
  const past = builder.op("Where", [
    seen,
    shaped(scores, kvHeads, group, -1),
    builder.constant(Float32Array.of(-Infinity), []),
  ]);
  const own = builder.op("FusedMatMul", [
    shaped(queries, kvHeads, group, headDim),
    shaped(keys, kvHeads, 1, headDim),
  ], { domain: MICROSOFT, attributes: { alpha: { float: scale }, transB: { int: 1 } } });
  const weights = builder.op("Softmax", [builder.op("Concat", [past, own], last)], last);
  const parts = builder.op("Concat", [size, builder.integers([1])], {
    attributes: { axis: { int: 0 } },
  });
  const [pastWeights = "", ownWeights = ""] = builder.ops("Split", [weights, parts], 2, last);
  const mixed = builder.op("Add", [
    shaped(
      builder.op("MatMul", [
        builder.op("Reshape", [
          pastWeights,
          builder.op("Concat", [builder.integers([heads]), size], {
            attributes: { axis: { int: 0 } },
          }),
        ]),
        shaped(pastValues, -1, headDim),
      ]),
      kvHeads,
      group,
      headDim,
    ),
    builder.op("Mul", [ownWeights, shaped(values, kvHeads, 1, headDim)]),
  ]);
  return shaped(mixed, 1, 1, heads * headDim);
}
