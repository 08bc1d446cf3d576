import type { KernelBuilder, KernelValue } from "../policy.ts";
import {
  blocksOf,
  blockSums,
  columns,
  cut,
  places,
  sameForHeads,
  scalar,
  sizeOf,
  tokenCount,
} from "./nodes.ts";

/** Ranks of chunks of a size, and of tokens in them, where the scores are. */
export function chunkRanksKernel(
  builder: KernelBuilder,
  scores: KernelValue,
  size: number,
): KernelValue {
  const means = builder.op("ReduceMean", [scores, builder.integers([0])], {
    keepdims: { int: 1 },
  });
  // So many more that the last chunk is whole.
  const filled = (row: KernelValue, fill: number): KernelValue =>
    builder.op("Concat", [
      row,
      ...(size > 1 ? [builder.constant(new Float32Array(size - 1).fill(fill), [1, size - 1])] : []),
    ], { axis: { int: 1 } });
  const counting = builder.op("Reshape", [builder.counting(), builder.integers([1, -1])]);
  const ones = builder.op("Add", [
    builder.op("Mul", [counting, scalar(builder, 0)]),
    scalar(builder, 1),
  ]);
  const sizes = blockSums(builder, filled(ones, 0), size);
  const sums = blockSums(builder, filled(means, 0), size);
  const count = sizeOf(builder, sizes, 0);
  const chunkPlace = places(builder, builder.op("Div", [sums, sizes]), {
    ...{ axis: 0, count, largest: true },
    counting: cut(builder, builder.counting(), 0, 0, count),
  });
  // The last chunk may be shorter: those behind it begin so much earlier.
  const missing = builder.op("Sub", [scalar(builder, size), cut(builder, sizes, 0, -1)]);
  const behind = builder.op("Where", [
    builder.op("Greater", [chunkPlace, cut(builder, chunkPlace, 0, -1)]),
    missing,
    scalar(builder, 0),
  ]);
  const begins = builder.op("Sub", [
    builder.op("Mul", [chunkPlace, scalar(builder, size)]),
    behind,
  ]);
  const inChunks = builder.op("Reshape", [
    blocksOf(builder, filled(means, -Infinity), 1, { count, size }),
    builder.integers([-1, size]),
  ]);
  const within = Float32Array.from({ length: size }, (_, at) => at);
  const place = builder.op("Add", [
    places(builder, inChunks, {
      ...{ axis: 1, count: builder.integers([size]), largest: true },
      counting: builder.constant(within, [size]),
    }),
    builder.op("Reshape", [begins, builder.integers([-1, 1])]),
  ]);
  const row = columns(
    builder,
    builder.op("Reshape", [place, builder.integers([1, -1])]),
    0,
    builder.tokens(),
  );
  const ranks = builder.op("Sub", [
    scalar(builder, 1),
    builder.op("Div", [row, tokenCount(builder)]),
  ]);
  return sameForHeads(builder, ranks);
}
