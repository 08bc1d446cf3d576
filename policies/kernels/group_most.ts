import type { KernelBuilder, KernelValue, LayerShape } from "../policy.ts";

/** The most over the query heads of each group of `[heads × length]`, `[kvHeads × length]`. */
export function groupMost(
  rows: Float32Array,
  { heads, kvHeads, length }: Pick<LayerShape, "heads" | "kvHeads" | "length">,
): Float32Array {
  const group = heads / kvHeads;
  const most = new Float32Array(kvHeads * length);
  for (let head = 0; head < heads; head++) {
    const row = rows.subarray(head * length, (head + 1) * length);
    const start = Math.floor(head / group) * length;
    const target = most.subarray(start, start + length);
    if (head % group === 0) {
      target.set(row);
      continue;
    }
    for (let token = 0; token < length; token++) {
      const value = row[token] ?? 0;
      if (value > (target[token] ?? 0)) target[token] = value;
    }
  }
  return most;
}

/** The same as a graph. */
export function groupMostKernel(builder: KernelBuilder, rows: KernelValue): KernelValue {
  const { heads, kvHeads } = builder;
  const grouped = builder.op("Reshape", [
    rows,
    builder.integers([kvHeads, heads / kvHeads, -1]),
  ]);
  return builder.op("ReduceMax", [grouped, builder.integers([1])], { keepdims: { int: 0 } });
}
