import type { KernelBuilder, KernelValue } from "../policy.ts";

/** A row, one number for each token, for every KV head: `[kvHeads, length]`. */
export function sameForHeads(builder: KernelBuilder, row: KernelValue): KernelValue {
  const { kvHeads } = builder;
  return builder.op("Add", [builder.constant(new Float32Array(kvHeads), [kvHeads, 1]), row]);
}

/** The same number for each token of every KV head, `[kvHeads, length]`. */
export function everywhere(builder: KernelBuilder, value: number): KernelValue {
  const none = builder.op("Mul", [builder.counting(), scalar(builder, 0)]);
  const row = value === 0 ? none : builder.op("Add", [none, scalar(builder, value)]);
  return sameForHeads(builder, row);
}

/** The number of tokens as a float, `[1]`. */
export function tokenCount(builder: KernelBuilder): KernelValue {
  const last = builder.op("ReduceMax", [builder.counting(), builder.integers([0])]);
  return builder.op("Add", [last, scalar(builder, 1)]);
}

/** Lengths of vectors along the last of three axes. */
export function norms(builder: KernelBuilder, vectors: KernelValue, keep = false): KernelValue {
  return builder.op("ReduceL2", [vectors, builder.integers([2])], {
    keepdims: { int: keep ? 1 : 0 },
  });
}

/** A number that is the same everywhere. */
export function scalar(builder: KernelBuilder, value: number): KernelValue {
  return builder.constant(Float32Array.of(value), []);
}

/** Some indices along an axis, from one to before another; negative ones count from the end. */
export function cut(
  builder: KernelBuilder,
  values: KernelValue,
  axis: number,
  from: number,
  to?: number | KernelValue,
): KernelValue {
  return builder.op("Slice", [
    values,
    builder.integers([from]),
    typeof to === "string" ? to : builder.integers([to ?? Number.MAX_SAFE_INTEGER]),
    builder.integers([axis]),
  ]);
}

/** Some columns of a matrix, as {@linkcode cut} does. */
export function columns(
  builder: KernelBuilder,
  matrix: KernelValue,
  from: number,
  to?: number | KernelValue,
): KernelValue {
  return cut(builder, matrix, 1, from, to);
}

/** So many columns of zeros, `[kvHeads, count]`. */
export function zeroColumns(builder: KernelBuilder, count: number): KernelValue {
  const { kvHeads } = builder;
  return builder.constant(new Float32Array(kvHeads * count), [kvHeads, count]);
}

/** Tensors side by side. */
export function joined(
  builder: KernelBuilder,
  parts: readonly KernelValue[],
  axis: number,
): KernelValue {
  const [only = "", ...others] = parts;
  return others.length === 0 ? only : builder.op("Concat", parts, { axis: { int: axis } });
}

/** The size of one axis, a 64-bit integer `[1]`. */
export function sizeOf(builder: KernelBuilder, values: KernelValue, axis: number): KernelValue {
  return builder.op("Shape", [values], { start: { int: axis }, end: { int: axis + 1 } });
}

/**
 * Rows that stand in blocks of equal size, one behind the other.
 *
 * @param values What they are taken from, along an axis: at least `from` and what the blocks hold.
 * @param count How many blocks, a 64-bit integer `[1]`, at most as many as there are tokens.
 * @param size Rows of a block.
 */
export function blocksOf(
  builder: KernelBuilder,
  values: KernelValue,
  axis: number,
  { count, size, from = 0 }: {
    readonly count: KernelValue;
    readonly size: number;
    readonly from?: number;
  },
): KernelValue {
  const first = builder.op("Reshape", [
    builder.op("Mul", [cut(builder, builder.counting(), 0, 0, count), scalar(builder, size)]),
    builder.integers([-1, 1]),
  ]);
  const within = Float32Array.from({ length: size }, (_, at) => from + at);
  const places = builder.op("Reshape", [
    builder.op("Add", [first, builder.constant(within, [1, size])]),
    builder.integers([-1]),
  ]);
  // Places are far below 2²⁴, where floats are whole.
  const whole = builder.op("Cast", [places], { to: { int: INT32 } });
  return builder.op("Gather", [values, whole], { axis: { int: axis } });
}

/** ONNX's number of 32-bit integers. */
const INT32 = 6;

/**
 * Sums of blocks of equal size, `[blocks]`: as many as are whole.
 *
 * @param row `[1, length]`, at least one block.
 */
export function blockSums(builder: KernelBuilder, row: KernelValue, size: number): KernelValue {
  const batch = builder.op("Unsqueeze", [row, builder.integers([0])]);
  const means = builder.op("AveragePool", [batch], {
    kernel_shape: { ints: [size] },
    strides: { ints: [size] },
  });
  return builder.op("Reshape", [
    builder.op("Mul", [means, scalar(builder, size)]),
    builder.integers([-1]),
  ]);
}

/**
 * Places of values in their order along their last axis, from 0, ties to the lower index.
 *
 * @param axis The last one.
 * @param count Its size, a 64-bit integer `[1]`.
 * @param counting The floats 0, 1, 2 and so on, as many.
 * @param largest Whether the largest value is the first.
 */
export function places(
  builder: KernelBuilder,
  values: KernelValue,
  { axis, count, counting, largest }: {
    readonly axis: number;
    readonly count: KernelValue;
    readonly counting: KernelValue;
    readonly largest: boolean;
  },
): KernelValue {
  const [, order = ""] = builder.ops("TopK", [values, count], 2, {
    axis: { int: -1 },
    largest: { int: largest ? 1 : 0 },
    sorted: { int: 1 },
  });
  const ascending = builder.op("Expand", [counting, builder.op("Shape", [values])]);
  // Each value is written over: there is a place for each.
  return builder.op("ScatterElements", [values, order, ascending], { axis: { int: axis } });
}
