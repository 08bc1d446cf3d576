import type { KernelBuilder, KernelValue, LayerShape } from "../policy.ts";

/** The most over the query heads of each group of `[heads × length]`, `[kvHeads × length]`. */
export function groupMost(
  rows: Float32Array,
  { heads, kvHeads, length }: Pick<LayerShape, "heads" | "kvHeads" | "length">,
): Float32Array {
  const group = heads / kvHeads;
  const most = new Float32Array(kvHeads * length).fill(-Infinity);
  for (let head = 0; head < heads; head++) {
    const target = Math.floor(head / group) * length;
    for (let token = 0; token < length; token++) {
      const value = rows[head * length + token] ?? 0;
      if (value > (most[target + token] ?? 0)) most[target + token] = value;
    }
  }
  return most;
}

/** The same as a graph. */
export function groupMostKernel(builder: KernelBuilder, rows: KernelValue): KernelValue {
  const { heads, kvHeads, length } = builder;
  const grouped = builder.op("Reshape", [
    rows,
    builder.integers([kvHeads, heads / kvHeads, length]),
  ]);
  return builder.op("ReduceMax", [grouped, builder.integers([1])], { keepdims: { int: 0 } });
}
