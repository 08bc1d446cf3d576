import type { KernelBuilder, KernelValue } from "../policy.ts";
import { columns, joined, norms, scalar } from "./nodes.ts";

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
  const { heads, kvHeads, length } = builder;
  const first = Math.min(sinks, length);
  const none = (tokens: number) =>
    builder.constant(new Float32Array(kvHeads * tokens), [kvHeads, tokens]);
  const attention = (): KernelValue => {
    const { mean, variance } = builder.expectedLogits();
    const half = builder.op("Mul", [variance, scalar(builder, 0.5)]);
    const exponents = covariance ? builder.op("Add", [mean, half]) : mean;
    const shares = builder.op("Softmax", [columns(builder, exponents, first, length)], {
      axis: { int: -1 },
    });
    const byGroup = builder.op("Reshape", [
      shares,
      builder.integers([kvHeads, heads / kvHeads, length - first]),
    ]);
    const meanShare = builder.op("ReduceMean", [byGroup, builder.integers([1])], {
      keepdims: { int: 0 },
    });
    return joined(builder, first > 0 ? [none(first), meanShare] : [meanShare], 1);
  };
  const scores = first < length ? attention() : none(length);
  if (!valueNorm) return scores;
  return builder.op("Mul", [
    builder.op("Add", [scores, scalar(builder, epsilon)]),
    norms(builder, builder.values()),
  ]);
}
