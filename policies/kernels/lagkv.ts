import type { KernelBuilder, KernelValue } from "../policy.ts";
import {
  blocksOf,
  blockSums,
  columns,
  cut,
  everywhere,
  joined,
  places,
  sameForHeads,
  scalar,
  sizeOf,
  tokenCount,
} from "./nodes.ts";

/** The windows that are judged. */
export interface LagWindows {
  /** Tokens before the first window. */
  readonly sinks: number;
  /** Tokens per window. */
  readonly lag: number;
}

/** Ranks in their windows where keys and values lie: all windows at once, the last of which is not judged. */
export function lagKernel(builder: KernelBuilder, { sinks, lag }: LagWindows): KernelValue {
  if (!builder.atLeast(sinks + 2 * lag)) return unjudgedKernel(builder, sinks);
  const { kvHeads, headDim } = builder;
  const reduced = (operator: string, values: KernelValue, axis: number) =>
    builder.op(operator, [values, builder.integers([axis])], { keepdims: { int: 1 } });
  const row = builder.op("Reshape", [
    cut(builder, builder.counting(), 0, sinks),
    builder.integers([1, -1]),
  ]);
  const count = sizeOf(builder, blockSums(builder, row, lag), 0);
  const spreads = (entries: KernelValue): KernelValue => {
    const all = builder.op("Reshape", [
      blocksOf(builder, entries, 1, { count, size: lag, from: sinks }),
      builder.integers([kvHeads, -1, lag, headDim]),
    ]);
    const behind = cut(builder, all, 1, 1);
    const min = reduced("ReduceMin", behind, 2);
    const range = builder.op("Sub", [reduced("ReduceMax", behind, 2), min]);
    // A dimension that never changes says nothing.
    const scale = builder.op("Where", [
      builder.op("Greater", [range, scalar(builder, 0)]),
      builder.op("Div", [scalar(builder, 1), builder.op("Max", [range, scalar(builder, 1e-30)])]),
      scalar(builder, 0),
    ]);
    const scaled = builder.op("Mul", [
      builder.op("Sub", [cut(builder, all, 1, 0, -1), min]),
      scale,
    ]);
    const centred = builder.op("Sub", [scaled, reduced("ReduceMean", scaled, 3)]);
    const squares = builder.op("Mul", [centred, centred]);
    const variance = builder.op("Mul", [
      reduced("ReduceSum", squares, 3),
      scalar(builder, 1 / Math.max(1, headDim - 1)),
    ]);
    const spread = builder.op("Reshape", [
      builder.op("Sqrt", [variance]),
      builder.integers([kvHeads, -1, lag]),
    ]);
    return builder.op("Softmax", [spread], { axis: { int: -1 } });
  };
  const both = builder.op("Add", [spreads(builder.keys()), spreads(builder.values())]);
  const within = Float32Array.from({ length: lag }, (_, at) => at);
  const ranked = builder.op("Mul", [
    places(builder, both, {
      ...{ axis: 2, count: builder.integers([lag]), largest: false },
      counting: builder.constant(within, [lag]),
    }),
    scalar(builder, 1 / lag),
  ]);
  const flat = builder.op("Reshape", [ranked, builder.integers([kvHeads, -1])]);
  const sure = sinks > 0
    ? [builder.constant(new Float32Array(kvHeads * sinks).fill(1), [kvHeads, sinks])]
    : [];
  // What stands behind the windows is sure as well: as much of it as there are tokens.
  const all = joined(builder, [...sure, flat, everywhere(builder, 1)], 1);
  return columns(builder, all, 0, builder.tokens());
}

/** Scores of fewer tokens: the first ones, then the later ones the more. */
function unjudgedKernel(builder: KernelBuilder, sinks: number): KernelValue {
  const counting = builder.counting();
  const others = builder.op("Max", [
    builder.op("Sub", [tokenCount(builder), scalar(builder, sinks)]),
    scalar(builder, 1),
  ]);
  const row = builder.op("Where", [
    builder.op("Less", [counting, scalar(builder, sinks)]),
    scalar(builder, 1),
    builder.op("Div", [builder.op("Sub", [counting, scalar(builder, sinks)]), others]),
  ]);
  return sameForHeads(builder, row);
}
