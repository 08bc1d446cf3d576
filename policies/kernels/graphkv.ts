import type { KernelBuilder, KernelValue } from "../policy.ts";
import { everywhere, norms, scalar } from "./nodes.ts";

/** How scores decay: options of the policy. */
export interface Decay {
  readonly rounds: number;
  readonly sources: number;
  readonly neighbours: number;
  readonly decay: number;
}

/** The decay where the keys lie: all KV heads at once, rounds one behind the other. */
export function decayKernel(
  builder: KernelBuilder,
  inner: KernelValue,
  { rounds, sources, neighbours, decay }: Decay,
): KernelValue {
  const { kvHeads } = builder;
  if (decay === 0 || rounds === 0) return inner;
  const keys = builder.keys();
  const unit = builder.op("Div", [
    keys,
    builder.op("Max", [norms(builder, keys, true), scalar(builder, 1e-20)]),
  ]);
  const others = builder.op("Transpose", [unit], { perm: { ints: [0, 2, 1] } });
  const floor = builder.op("ReduceMin", [inner, builder.integers([1])], { keepdims: { int: 1 } });
  const highest = (values: KernelValue, marks: KernelValue, count: number) =>
    builder.ops(
      "TopK",
      [
        builder.op("Where", [
          builder.op("Greater", [marks, scalar(builder, 0.5)]),
          scalar(builder, -Infinity),
          values,
        ]),
        builder.integers([count]),
      ],
      2,
      { axis: { int: -1 } },
    );
  let scores = inner;
  let isSource = everywhere(builder, 0);
  // Of fewer tokens, it matters how many there are.
  let left = builder.atLeast(rounds * sources + neighbours) ? Infinity : builder.length;
  for (let round = 0; round < rounds && left > 0; round++) {
    const count = Math.min(sources, left);
    left -= count;
    const [, chosen = ""] = highest(scores, isSource, count);
    isSource = builder.op("ScatterElements", [
      isSource,
      chosen,
      builder.constant(new Float32Array(kvHeads * count).fill(1), [kvHeads, count]),
    ], { axis: { int: 1 } });
    if (left === 0) break;
    const rows = builder.op("Reshape", [chosen, builder.integers([kvHeads, count, 1])]);
    const cosines = builder.op("MatMul", [
      builder.op("GatherND", [unit, rows], { batch_dims: { int: 1 } }),
      others,
    ]);
    const marks = builder.op("Unsqueeze", [isSource, builder.integers([1])]);
    const [nearest = "", near = ""] = highest(cosines, marks, Math.min(neighbours, left));
    const spread = builder.op("ScatterElements", [
      // Not a constant of that size, which the graph would carry: it can be as large as the keys.
      builder.op("Expand", [scalar(builder, 0), builder.op("Shape", [cosines])]),
      near,
      nearest,
    ], { axis: { int: 2 } });
    const strongest = builder.op("ReduceMax", [spread, builder.integers([1])], {
      keepdims: { int: 0 },
    });
    const similarity = builder.op("Min", [builder.op("Relu", [strongest]), scalar(builder, 1)]);
    const lost = builder.op("Mul", [
      builder.op("Mul", [similarity, scalar(builder, decay)]),
      builder.op("Sub", [scores, floor]),
    ]);
    scores = builder.op("Sub", [scores, lost]);
  }
  return scores;
}
