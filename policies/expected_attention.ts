import { columns, joined, norms, scalar } from "./_kernel_nodes.ts";
import { flag, integer, number, type PolicyAbout, readOptions } from "./_options.ts";
import {
  type KernelBuilder,
  type KernelValue,
  type LayerView,
  type ScorerPolicy,
  withKernel,
} from "./policy.ts";

const PAPER = "https://arxiv.org/abs/2510.00636";

/** Options of {@linkcode expectedAttention}. */
export interface ExpectedAttentionOptions {
  /**
   * Positions behind the prompt over which the rotation of queries to come is averaged.
   *
   * @default {512}
   */
  readonly futurePositions?: number;
  /**
   * Leading tokens that are always kept and left out of the statistics.
   *
   * @default {4}
   */
  readonly sinks?: number;
  /**
   * Whether the covariance of the queries counts, or their mean alone.
   *
   * @default {true}
   */
  readonly covariance?: boolean;
  /**
   * Whether scores are multiplied by the norms of the values.
   *
   * @default {true}
   */
  readonly valueNorm?: boolean;
  /**
   * Added to the expected attention before it is multiplied by the norms.
   *
   * @default {0}
   */
  readonly epsilon?: number;
}

/** What the registry says about {@linkcode expectedAttention}. */
export const about: PolicyAbout<ExpectedAttentionOptions> = {
  name: "expected_attention",
  summary: "Keeps the tokens that queries drawn from the prompt's statistics would attend to.",
  paper: PAPER,
  options: {
    futurePositions: integer({
      min: 1,
      default: 512,
      about: "positions behind the prompt over which the rotation of queries is averaged",
    }),
    sinks: integer({
      min: 0,
      default: 4,
      about: "leading tokens that are always kept and left out of the statistics",
    }),
    covariance: flag({ default: true, about: "whether the covariance of the queries counts" }),
    valueNorm: flag({ default: true, about: "whether the norms of the values count" }),
    epsilon: number({
      min: 0,
      default: 0,
      about: "added to the attention before the norms count",
    }),
  },
};

/**
 * Expected Attention: queries to come are taken to be Gaussian, with the mean and covariance of the
 * prompt's un-rotated queries, turned by the mean rotation of the next positions. The score is the
 * attention to be expected from them, averaged over the query heads of the group, times the norm of
 * the value.
 *
 * Paper: https://arxiv.org/abs/2510.00636. The defaults are its authors' settings.
 *
 * Differs from the paper: a KV head's score is the mean over its group of query heads; the budget is
 * the same for every head, unless a wrapper divides it.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { expectedAttention } from "./expected_attention.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = expectedAttention({ futurePositions: 64 });
 * assertEquals(policy.evidence, { kind: "statistics", skip: 4, future: 64 });
 * assertEquals(policy.protect, { sinks: 4 });
 * ```
 */
export function expectedAttention(options: ExpectedAttentionOptions = {}): ScorerPolicy {
  const settings = readOptions(about, options);
  const { sinks, futurePositions, covariance, valueNorm, epsilon } = settings;
  return Object.freeze<ScorerPolicy>({
    name: about.name,
    paper: PAPER,
    options: settings,
    evidence: { kind: "statistics", skip: sinks, future: futurePositions },
    protect: { sinks },
    score: withKernel(async (layer) => {
      const { mean, variance } = await layer.expectedLogits();
      // The mean of exp(x) over a Gaussian x is exp(mean + variance / 2).
      const exponents = covariance
        ? mean.map((value, index) => value + (variance[index] ?? 0) / 2)
        : mean;
      const scores = groupSoftmax(exponents, layer, Math.min(sinks, layer.length));
      return valueNorm ? timesNorms(scores, await layer.values(), layer, epsilon) : scores;
    }, (layer) => expectation(layer, settings)),
  });
}

/**
 * Softmax over the tokens from `first` on, averaged over the query heads of each group,
 * `[kvHeads × length]`.
 */
function groupSoftmax(
  exponents: Float32Array,
  { heads, kvHeads, length }: LayerView,
  first: number,
): Float32Array {
  const group = heads / kvHeads;
  const scores = new Float32Array(kvHeads * length);
  for (let head = 0; head < heads; head++) {
    const start = head * length;
    const target = Math.floor(head / group) * length;
    let most = -Infinity;
    for (let token = first; token < length; token++) {
      most = Math.max(most, exponents[start + token] ?? 0);
    }
    let sum = 0;
    for (let token = first; token < length; token++) {
      sum += Math.exp((exponents[start + token] ?? 0) - most);
    }
    for (let token = first; token < length; token++) {
      const share = Math.exp((exponents[start + token] ?? 0) - most) / sum / group;
      scores[target + token] = (scores[target + token] ?? 0) + share;
    }
  }
  return scores;
}

function timesNorms(
  scores: Float32Array,
  values: Float32Array,
  { kvHeads, headDim, length }: LayerView,
  epsilon: number,
): Float32Array {
  return scores.map((score, index) => {
    const [head, token] = [Math.floor(index / length), index % length];
    const start = (token * kvHeads + head) * headDim;
    let squares = 0;
    for (let i = start; i < start + headDim; i++) squares += (values[i] ?? 0) ** 2;
    return (score + epsilon) * Math.sqrt(squares);
  });
}

/** The same scores where the values lie. */
function expectation(
  builder: KernelBuilder,
  { sinks, covariance, valueNorm, epsilon }: Pick<
    Required<ExpectedAttentionOptions>,
    "sinks" | "covariance" | "valueNorm" | "epsilon"
  >,
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

export default expectedAttention;
