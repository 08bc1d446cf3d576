import type { KernelBuilder, KernelValue } from "../policy.ts";
import { joined, places, scalar } from "./nodes.ts";

/** The windows that are judged. */
export interface LagWindows {
  /** Tokens before the first window. */
  readonly sinks: number;
  /** Tokens per window. */
  readonly lag: number;
  /** Token behind the last window that is judged; a whole one follows it. */
  readonly end: number;
}

/** Ranks in their windows where keys and values lie: all windows at once. */
export function lagKernel(builder: KernelBuilder, { sinks, lag, end }: LagWindows): KernelValue {
  const { kvHeads, headDim, length } = builder;
  const windows = (end - sinks) / lag;
  const shape = [kvHeads, windows, lag];
  const cut = (values: KernelValue, axis: number, from: number, to: number) =>
    builder.op("Slice", [
      values,
      builder.integers([from]),
      builder.integers([to]),
      builder.integers([axis]),
    ]);
  const reduced = (operator: string, values: KernelValue, axis: number) =>
    builder.op(operator, [values, builder.integers([axis])], { keepdims: { int: 1 } });
  const spreads = (entries: KernelValue): KernelValue => {
    const all = builder.op("Reshape", [
      cut(entries, 1, sinks, end + lag),
      builder.integers([kvHeads, windows + 1, lag, headDim]),
    ]);
    const behind = cut(all, 1, 1, windows + 1);
    const min = reduced("ReduceMin", behind, 2);
    const range = builder.op("Sub", [reduced("ReduceMax", behind, 2), min]);
    // A dimension that never changes says nothing.
    const scale = builder.op("Where", [
      builder.op("Greater", [range, scalar(builder, 0)]),
      builder.op("Div", [scalar(builder, 1), builder.op("Max", [range, scalar(builder, 1e-30)])]),
      scalar(builder, 0),
    ]);
    const scaled = builder.op("Mul", [
      builder.op("Sub", [cut(all, 1, 0, windows), min]),
      scale,
    ]);
    const centred = builder.op("Sub", [scaled, reduced("ReduceMean", scaled, 3)]);
    const squares = builder.op("Mul", [centred, centred]);
    const variance = builder.op("Mul", [
      reduced("ReduceSum", squares, 3),
      scalar(builder, 1 / Math.max(1, headDim - 1)),
    ]);
    const spread = builder.op("Reshape", [builder.op("Sqrt", [variance]), builder.integers(shape)]);
    return builder.op("Softmax", [spread], { axis: { int: -1 } });
  };
  const both = builder.op("Add", [spreads(builder.keys()), spreads(builder.values())]);
  const ranked = builder.op("Mul", [
    places(builder, both, shape, false),
    scalar(builder, 1 / lag),
  ]);
  const certain = (tokens: number) =>
    tokens === 0
      ? []
      : [builder.constant(new Float32Array(kvHeads * tokens).fill(1), [kvHeads, tokens])];
  const flat = builder.op("Reshape", [ranked, builder.integers([kvHeads, windows * lag])]);
  return joined(builder, [...certain(sinks), flat, ...certain(length - end)], 1);
}
