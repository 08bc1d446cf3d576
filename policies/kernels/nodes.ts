import type { KernelBuilder, KernelValue } from "../policy.ts";

/** The same number for each token of every KV head, `[kvHeads, length]`. */
export function sameForHeads(builder: KernelBuilder, row: Float32Array): KernelValue {
  const { kvHeads, length } = builder;
  return builder.op("Expand", [
    builder.constant(row, [1, length]),
    builder.integers([kvHeads, length]),
  ]);
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

/** Some columns of a matrix, from one index to before another. */
export function columns(
  builder: KernelBuilder,
  matrix: KernelValue,
  from: number,
  to: number,
): KernelValue {
  return builder.op("Slice", [
    matrix,
    builder.integers([from]),
    builder.integers([to]),
    builder.integers([1]),
  ]);
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

/**
 * Places of values in their order along the last axis, from 0, ties to the lower index.
 *
 * @param shape Of the values.
 * @param largest Whether the largest value is the first.
 */
export function places(
  builder: KernelBuilder,
  values: KernelValue,
  shape: readonly number[],
  largest: boolean,
): KernelValue {
  const count = shape.at(-1) ?? 0;
  const all = shape.reduce((product, size) => product * size, 1);
  const [, order = ""] = builder.ops("TopK", [values, builder.integers([count])], 2, {
    axis: { int: -1 },
    largest: { int: largest ? 1 : 0 },
    sorted: { int: 1 },
  });
  const ascending = Float32Array.from({ length: all }, (_, index) => index % count);
  return builder.op("ScatterElements", [
    builder.constant(new Float32Array(all), shape),
    order,
    builder.constant(ascending, shape),
  ], { axis: { int: shape.length - 1 } });
}
