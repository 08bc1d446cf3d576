import type { AttentionShape, HeadShape } from "../attention_nodes.ts";
import type { ElementType, Graph, GraphBuilder, Value } from "../onnx/graph.ts";

/** Keys and values of a layer as a device holds them: head-major, with slots to spare. */
export interface SlottedEntries {
  /** `[kvHeads, capacity, headDim]`. */
  readonly keys: Value;
  /** Like the keys. */
  readonly values: Value;
}

/** What attention over slots gives. */
export interface SlottedAttention {
  /** `[T, heads · headDim]`. */
  readonly mixed: Value;
  /** Weights of each query, `[kvHeads, heads of a group, T, capacity]`. */
  readonly weights: Value;
}

/** One size of a tensor, int64 `[1]`. */
export function sizeOf(builder: GraphBuilder, value: Value, axis: number): Value {
  return builder.op("Shape", [value], {
    attributes: { start: { int: axis }, end: { int: axis + 1 } },
  });
}

/** Gives a tensor a shape of which some sizes are known when the graph runs. */
export function shaped(
  builder: GraphBuilder,
  value: Value,
  shape: readonly (number | Value)[],
): Value {
  const sizes = shape.map((size) => typeof size === "number" ? builder.integers([size]) : size);
  return builder.op("Reshape", [
    value,
    builder.op("Concat", sizes, { attributes: { axis: { int: 0 } } }),
  ]);
}

/** Swaps the last two of three axes. */
export function turnedOver(builder: GraphBuilder, value: Value): Value {
  return builder.op("Transpose", [value], { attributes: { perm: { ints: [0, 2, 1] } } });
}

/** Queries `[1, T, heads · headDim]`, scaled, as `[kvHeads, heads of a group · T, headDim]`. */
export function groupedQueries(
  builder: GraphBuilder,
  { heads, kvHeads, headDim, attentionScale }: AttentionShape,
  queries: Value,
): Value {
  const scaled = builder.op("Mul", [
    queries,
    builder.constant(Float32Array.of(attentionScale), []),
  ]);
  const byHead = builder.op("Transpose", [
    builder.op("Reshape", [scaled, builder.integers([-1, kvHeads, heads / kvHeads, headDim])]),
  ], { attributes: { perm: { ints: [1, 2, 0, 3] } } });
  return builder.op("Reshape", [byHead, builder.integers([kvHeads, -1, headDim])]);
}

/** What attention over slots is computed of. */
export interface SlotsSeen {
  /**
   * Added to logits: `-Infinity` where a query cannot see a slot, `[kvHeads, 1, T, capacity]`.
   */
  readonly hidden: Value;
  /** Number of new tokens, int64 `[1]`. */
  readonly tokens: Value;
  /** Type of all numbers. */
  readonly element: ElementType;
}

/**
 * Weights of each query over the slots of its KV head, `[kvHeads, heads of a group, T, capacity]`.
 *
 * @param products Of queries `[kvHeads, Q, headDim]` with all keys, `[kvHeads, Q, capacity]`.
 */
export function slotWeights(
  builder: GraphBuilder,
  { heads, kvHeads }: HeadShape,
  keys: Value,
  products: Value,
  { hidden, tokens }: Omit<SlotsSeen, "element">,
): Value {
  const capacity = sizeOf(builder, keys, 1);
  const seen = builder.op("Add", [
    shaped(builder, products, [kvHeads, heads / kvHeads, tokens, capacity]),
    hidden,
  ]);
  return builder.op("Softmax", [seen], { attributes: { axis: { int: -1 } } });
}

/** Attention of new tokens over the slots of each KV head, their own among them. */
export function maskedAttention(
  builder: GraphBuilder,
  shape: AttentionShape,
  queries: Value,
  { keys, values }: SlottedEntries,
  seen: SlotsSeen,
): SlottedAttention {
  const { heads, kvHeads, headDim } = shape;
  const grouped = groupedQueries(builder, shape, queries);
  const logits = products(builder, grouped, keys, seen);
  const weights = slotWeights(builder, shape, keys, logits, seen);
  const mixed = builder.op("MatMul", [
    shaped(builder, weights, [kvHeads, -1, sizeOf(builder, keys, 1)]),
    values,
  ]);
  const byToken = builder.op("Transpose", [
    builder.op("Reshape", [mixed, builder.integers([kvHeads, heads / kvHeads, -1, headDim])]),
  ], { attributes: { perm: { ints: [2, 0, 1, 3] } } });
  return {
    mixed: builder.op("Reshape", [byToken, builder.integers([-1, heads * headDim])]),
    weights,
  };
}

/**
 * Products of queries `[kvHeads, Q, headDim]` with all keys, `[kvHeads, Q, capacity]`. Of many queries
 * the keys are turned over, of one token's the products are: whichever is less.
 */
function products(
  builder: GraphBuilder,
  queries: Value,
  keys: Value,
  { tokens, element }: Pick<SlotsSeen, "tokens" | "element">,
): Value {
  const branch = (name: string, emit: (inner: GraphBuilder) => Value): Graph => {
    const inner = builder.branch(name);
    // Layers differ in capacity: equal names would stand for equal sizes.
    inner.output(emit(inner), element, ["H", "Q", `slots of ${keys}`]);
    return inner.build();
  };
  const single = builder.op("Squeeze", [
    builder.op("Equal", [tokens, builder.integers([1])]),
    builder.integers([0]),
  ]);
  return builder.op("If", [single], {
    attributes: {
      then_branch: {
        graph: branch(
          "one_token",
          (inner) => turnedOver(inner, inner.op("MatMul", [keys, turnedOver(inner, queries)])),
        ),
      },
      else_branch: {
        graph: branch(
          "many_tokens",
          (inner) => inner.op("MatMul", [queries, turnedOver(inner, keys)]),
        ),
      },
    },
  });
}

/**
 * Hides slots that a head does not hold, and new tokens from those before them.
 *
 * @param held Tokens that each KV head held before, floats `[kvHeads]`.
 * @param counting The floats 0, 1, 2 and so on, at least as many as there are slots.
 * @param keys What the slots are of, `[kvHeads, capacity, headDim]`.
 * @param tokens Number of new tokens, int64 `[1]`.
 * @param window Tokens that a new one sees at most, itself among them, of the slots before its own.
 * @returns `[kvHeads, 1, T, capacity]`, 0 or `-Infinity`.
 */
export function hiddenSlots(
  builder: GraphBuilder,
  kvHeads: number,
  { held, counting, keys, tokens, window }: {
    readonly held: Value;
    readonly counting: Value;
    readonly keys: Value;
    readonly tokens: Value;
    readonly window?: number | undefined;
  },
): Value {
  const first = (count: Value): Value =>
    builder.op("Slice", [counting, builder.integers([0]), count, builder.integers([0])]);
  const token = builder.op("Reshape", [first(tokens), builder.integers([1, 1, -1, 1])]);
  const last = builder.op("Add", [
    builder.op("Reshape", [held, builder.integers([kvHeads, 1, 1, 1])]),
    token,
  ]);
  const slots = first(sizeOf(builder, keys, 1));
  const [shown, hidden] = [0, -Infinity].map((number) =>
    builder.constant(Float32Array.of(number), [])
  );
  const visible = builder.op("LessOrEqual", [slots, last]);
  const behind = builder.op("Where", [visible, shown ?? "", hidden ?? ""]);
  if (window === undefined) return behind;
  const reach = builder.op("Sub", [last, builder.constant(Float32Array.of(window), [])]);
  return builder.op("Where", [builder.op("Greater", [slots, reach]), behind, hidden ?? ""]);
}
