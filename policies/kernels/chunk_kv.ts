import type { KernelBuilder, KernelValue } from "../policy.ts";
import { columns, joined, places, scalar } from "./nodes.ts";

/** Ranks of chunks of a size, and of tokens in them, where the scores are. */
export function chunkRanksKernel(
  builder: KernelBuilder,
  scores: KernelValue,
  size: number,
): KernelValue {
  const { kvHeads, length } = builder;
  const chunk = Math.min(size, length);
  const count = Math.ceil(length / chunk);
  const missing = count * chunk - length;
  const shape = [count, chunk];
  const means = builder.op("ReduceMean", [scores, builder.integers([0])], {
    keepdims: { int: 1 },
  });
  const padded = (fill: number): KernelValue => {
    const spare = builder.constant(new Float32Array(missing).fill(fill), [1, missing]);
    return builder.op("Reshape", [
      joined(builder, missing > 0 ? [means, spare] : [means], 1),
      builder.integers(shape),
    ]);
  };
  const sums = builder.op("ReduceSum", [padded(0), builder.integers([1])], {
    keepdims: { int: 0 },
  });
  const sizes = new Float32Array(count).fill(chunk);
  sizes[count - 1] = chunk - missing;
  const chunkPlace = places(
    builder,
    builder.op("Div", [sums, builder.constant(sizes, [count])]),
    [count],
    true,
  );
  // The last chunk may be shorter: those behind it begin so much earlier.
  const last = builder.op("Slice", [
    chunkPlace,
    builder.integers([count - 1]),
    builder.integers([count]),
    builder.integers([0]),
  ]);
  const behind = builder.op("Where", [
    builder.op("Greater", [chunkPlace, last]),
    scalar(builder, missing),
    scalar(builder, 0),
  ]);
  const begins = builder.op("Sub", [
    builder.op("Mul", [chunkPlace, scalar(builder, chunk)]),
    behind,
  ]);
  const place = builder.op("Add", [
    places(builder, padded(-Infinity), shape, true),
    builder.op("Reshape", [begins, builder.integers([count, 1])]),
  ]);
  const row = columns(
    builder,
    builder.op("Reshape", [place, builder.integers([1, count * chunk])]),
    0,
    length,
  );
  const ranks = builder.op("Sub", [
    scalar(builder, 1),
    builder.op("Div", [row, scalar(builder, length)]),
  ]);
  return builder.op("Expand", [ranks, builder.integers([kvHeads, length])]);
}
