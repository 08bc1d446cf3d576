import type { KernelBuilder, KernelValue } from "../policy.ts";
import { columns, everywhere, joined, norms, scalar } from "./nodes.ts";

/** What the attention to be expected depends on: options of the policy. */
export interface Expectation {
  readonly sinks: number;
  readonly covariance: boolean;
  readonly valueNorm: boolean;
  readonly epsilon: number;
}

/** The attention to be expected, times the norms of the values, where the values lie. */
export function expectationKernel(
  builder: KernelBuilder,
  { sinks, covariance, valueNorm, epsilon }: Expectation,
): KernelValue {
  const { heads, kvHeads } = builder;
  const attention = (): KernelValue => {
    const { mean, variance } = builder.expectedLogits();
    const half = builder.op("Mul", [variance, scalar(builder, 0.5)]);
    const exponents = covariance ? builder.op("Add", [mean, half]) : mean;
    const shares = builder.op("Softmax", [columns(builder, exponents, sinks)], {
      axis: { int: -1 },
    });
    const byGroup = builder.op("Reshape", [
      shares,
      builder.integers([kvHeads, heads / kvHeads, -1]),
    ]);
    const meanShare = builder.op("ReduceMean", [byGroup, builder.integers([1])], {
      keepdims: { int: 0 },
    });
    const none = builder.constant(new Float32Array(kvHeads * sinks), [kvHeads, sinks]);
    return joined(builder, sinks > 0 ? [none, meanShare] : [meanShare], 1);
  };
  const scores = builder.atLeast(sinks + 1) ? attention() : everywhere(builder, 0);
  if (!valueNorm) return scores;
  return builder.op("Mul", [
    builder.op("Add", [scores, scalar(builder, epsilon)]),
    norms(builder, builder.values()),
  ]);
}
