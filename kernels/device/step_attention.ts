import type { AttentionShape } from "../attention_nodes.ts";
import type { RotatedTokens } from "../layer_nodes.ts";
import { cast } from "../onnx/cast.ts";
import { type GraphBuilder, MICROSOFT, type Value } from "../onnx/graph.ts";
import type { CacheElement } from "./layer_buffers.ts";
import { inHalf } from "./half.ts";
import { layerPorts } from "./layer_ports.ts";
import { hiddenSlots, maskedAttention } from "./masked_attention.ts";

/** What attention in a step is built for. */
export interface StepAttention {
  readonly shape: AttentionShape;
  readonly layer: number;
  /** Tokens that a query sees at most, itself among them. Absent: all. */
  readonly window?: number | undefined;
  /** Type of the cache's numbers. */
  readonly element: CacheElement;
}

/**
 * Attention where all KV heads of a layer hold equally many tokens: one operator writes the new entries
 * into their slots and attends, with neither a mask nor a matrix of weights.
 *
 * @returns Mixed values, `[T, heads · headDim]`.
 */
export function evenAttention(
  plain: GraphBuilder,
  rotated: RotatedTokens,
  step: StepAttention,
): Value {
  const { heads, headDim } = step.shape;
  plain.output(rotated.queries, step.element, [1, "T", heads * headDim]);
  return attendInSlots(plain, rotated, step, countedTokens(plain, step.layer));
}

/** What counts the tokens of a layer, on the device. */
export interface CountedTokens {
  /** Index of the last token behind the step, int32 `[1]`. */
  readonly lastIndex: Value;
  /** Tokens behind the step, int32 `[1]`. */
  readonly total: Value;
}

/** Declares inputs that count the tokens of a layer. */
export function countedTokens(plain: GraphBuilder, layer: number): CountedTokens {
  const { lastIndex, total } = layerPorts(layer);
  plain.input(lastIndex, "int32", [1]);
  plain.input(total, "int32", [1]);
  return { lastIndex, total };
}

/** Attention of one operator behind tokens that are counted. */
export function attendInSlots(
  plain: GraphBuilder,
  { queries, keys, values }: RotatedTokens,
  { shape, layer, element, window }: StepAttention,
  { lastIndex, total }: CountedTokens,
  /** Tables that the operator is to rotate queries and keys by. */
  tables: readonly Value[] = [],
): Value {
  const { heads, kvHeads, headDim } = shape;
  const ports = layerPorts(layer);
  const slots = [1, kvHeads, `C${layer}`, headDim];
  plain.input(ports.keys, element, slots);
  plain.input(ports.values, element, slots);
  const mixed = groupQueryAttention(plain, { ...shape, window, rotates: tables.length > 0 }, [
    ...[queries, keys, values, ports.keys, ports.values, lastIndex, total],
    ...tables,
  ], [`mixed.${layer}`, ports.presentKeys, ports.presentValues]);
  plain.output(ports.presentKeys, element, slots);
  plain.output(ports.presentValues, element, slots);
  return plain.op("Reshape", [mixed, plain.integers([-1, heads * headDim])]);
}

/** The operator that appends to a cache of spare slots and attends causally. */
export function groupQueryAttention(
  graph: GraphBuilder,
  { heads, kvHeads, attentionScale, window, rotates = false }:
    & AttentionShape
    & Pick<StepAttention, "window">
    & { readonly rotates?: boolean },
  inputs: readonly Value[],
  names: readonly Value[],
): Value {
  const [mixed = ""] = graph.ops("GroupQueryAttention", inputs, 3, {
    domain: MICROSOFT,
    names,
    attributes: {
      num_heads: { int: heads },
      kv_num_heads: { int: kvHeads },
      do_rotary: { int: rotates ? 1 : 0 },
      scale: { float: attentionScale },
      ...(window === undefined ? {} : { local_window_size: { int: window } }),
    },
  });
  return mixed;
}

/**
 * Attention where KV heads may hold different numbers of tokens: each writes into its own slots and
 * attends under a mask made of its length.
 *
 * @returns Mixed values, `[T, heads · headDim]`.
 */
export function raggedAttention(
  plain: GraphBuilder,
  rotated: RotatedTokens,
  { shape, layer, element, tokens, window }: StepAttention & {
    /** Number of new tokens, int64 `[1]`. */
    readonly tokens: Value;
  },
): Value {
  const { heads, kvHeads, headDim } = shape;
  const ports = layerPorts(layer);
  const builder = element === "float16" ? inHalf(plain) : plain;
  const inElement = (value: Value, to: CacheElement): Value =>
    element === "float32" ? value : cast(plain, value, to);
  const slots = [kvHeads, `C${layer}`, headDim];
  plain.input(ports.keys, element, slots);
  plain.input(ports.values, element, slots);
  plain.input(ports.slots, "int64", [kvHeads, "T", 2]);
  const written = (past: Value, entries: Value, name: Value): Value => {
    const byHead = plain.op("Transpose", [
      plain.op("Reshape", [entries, plain.integers([-1, kvHeads, headDim])]),
    ], { attributes: { perm: { ints: [1, 0, 2] } } });
    plain.output(name, element, slots);
    return plain.op("ScatterND", [past, ports.slots, byHead], { names: [name] });
  };
  const keys = written(ports.keys, rotated.keys, ports.presentKeys);
  const values = written(ports.values, rotated.values, ports.presentValues);
  const held = plain.op("Gather", ["held", plain.constant(BigInt64Array.of(BigInt(layer)), [])]);
  const hidden = hiddenSlots(plain, kvHeads, {
    ...{ held, counting: "counting", keys, tokens, window },
  });
  const { mixed, weights } = maskedAttention(builder, shape, rotated.queries, { keys, values }, {
    hidden: inElement(hidden, "float16"),
    tokens,
    element,
  });
  plain.op("Reshape", [
    inElement(rotated.queries, "float32"),
    plain.integers([-1, heads, headDim]),
  ], { names: [ports.queries] });
  plain.output(ports.queries, "float32", ["T", heads, headDim]);
  if (window !== undefined) return mixed;
  const sums = plain.op("ReduceSum", [inElement(weights, "float32"), plain.integers([2])], {
    attributes: { keepdims: { int: 0 } },
  });
  plain.op("Reshape", [sums, plain.integers([heads, -1])], { names: [ports.attentionSums] });
  plain.output(ports.attentionSums, "float32", [heads, `C${layer}`]);
  return mixed;
}
