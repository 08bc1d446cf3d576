import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { expectationKernel } from "./kernels/expected_attention.ts";
import { type LayerView, type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode expectedAttention}. */
export const about = {
  name: "expected_attention",
  summary: "Keeps the tokens that queries drawn from the prompt's statistics would attend to.",
  paper: "https://arxiv.org/abs/2510.00636",
  options: {
    futurePositions: {
      kind: "integer",
      min: 1,
      default: 512,
      about: "positions behind the prompt over which the rotation of queries is averaged",
    },
    sinks: {
      kind: "integer",
      min: 0,
      default: 4,
      about: "leading tokens that are always kept and left out of the statistics",
    },
    covariance: {
      kind: "flag",
      default: true,
      about: "whether the covariance of the queries counts",
    },
    valueNorm: { kind: "flag", default: true, about: "whether the norms of the values count" },
    epsilon: {
      kind: "number",
      min: 0,
      default: 0,
      about: "added to the attention before the norms count",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode expectedAttention}. */
export type ExpectedAttentionOptions = OptionsOf<typeof about>;

/**
 * Expected Attention: queries to come are taken to be Gaussian, with the mean and covariance of the
 * prompt's un-rotated queries, rotated by the mean rotation of the next positions. The score is the
 * attention to be expected from them, averaged over the query heads of the group, times the norm of
 * the value.
 *
 * The defaults are its authors' settings.
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
  return makePolicy(about, options, (settings) => {
    const { sinks, futurePositions, covariance, valueNorm, epsilon } = settings;
    return {
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
      }, (layer) => expectationKernel(layer, settings)),
    };
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
    let max = -Infinity;
    for (let token = first; token < length; token++) {
      max = Math.max(max, exponents[start + token] ?? 0);
    }
    let sum = 0;
    for (let token = first; token < length; token++) {
      sum += Math.exp((exponents[start + token] ?? 0) - max);
    }
    for (let token = first; token < length; token++) {
      const share = Math.exp((exponents[start + token] ?? 0) - max) / sum / group;
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

export default expectedAttention;
