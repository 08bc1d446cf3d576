import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { evenInside, innerOption, wrapPolicy } from "./_wrap.ts";
import { scalar } from "./kernels/nodes.ts";
import { type LayerView, type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode criticalKv}. */
export const about = {
  name: "critical_kv",
  summary: "Wraps a policy: half of the budget goes by what values do to the layer's output.",
  paper: "https://arxiv.org/abs/2502.03805",
  options: {
    inner: innerOption,
    first: {
      kind: "number",
      min: 0,
      max: 1,
      default: 0.5,
      about: "share of the budget that goes by the inner score alone",
    },
    epsilon: {
      kind: "number",
      min: 0,
      default: 1e-4,
      about: "added to the inner score before it is weighed",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode criticalKv}. */
export type CriticalKvOptions = OptionsOf<typeof about>;

/**
 * CriticalKV: a first part of the budget goes to the best tokens of the inner policy, the rest to
 * those whose `(score + epsilon) · ‖W_O · V‖₁` is largest: how far dropping a token can move the
 * layer's output. The norm is the mean over the query heads that share a KV head.
 *
 * Around `ada_kv`, heads share the budget by the inner score first; then each spends its own in the
 * two parts. Of an inner policy that spends its budget in two parts itself, such as `judge_q`, the
 * even-headed one is taken.
 *
 * Differs from the paper: what the inner policy protects is kept in any case and counts towards the
 * first part; inner scores below 0 count as 0.
 *
 * @throws {OptionError} If an option is unknown or out of range, or the policy inside judges without
 * attention, or in two parts itself and has no even-headed one.
 *
 * @example
 * ```ts
 * import { criticalKv } from "./critical_kv.ts";
 * import { adaKv } from "./ada_kv.ts";
 * import { snapKv } from "./snapkv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = criticalKv({ inner: adaKv({ inner: snapKv({ window: 8 }) }) });
 * assertEquals(policy.secondStage?.first, 0.5);
 * ```
 */
export function criticalKv(options: CriticalKvOptions = {}): ScorerPolicy {
  const taken = options?.inner?.secondStage ? evenInside(options) : options;
  return wrapPolicy(about, taken, (inner, { settings: { first, epsilon }, refuse }) => {
    if (inner.secondStage) throw refuse("it spends its budget in two parts itself");
    if (inner.evidence.kind === "none") {
      throw refuse(
        "it judges without attention, which is what values are weighed by; wrap one that uses " +
          "attention, such as 'snapkv'",
      );
    }
    const rescore = withKernel(
      (layer: LayerView, scores: Float32Array, counts?: readonly number[]) =>
        weighed(layer, { scores, counts, epsilon }),
      (layer, scores) =>
        layer.op("Mul", [
          layer.op("Add", [layer.op("Relu", [scores]), scalar(layer, epsilon)]),
          layer.outputNorms(),
        ]),
    );
    return { secondStage: { first, rescore } };
  });
}

interface Weighed {
  readonly scores: Float32Array;
  readonly counts: readonly number[] | undefined;
  readonly epsilon: number;
}

/** Scores times norms; what scores without end keeps its score. */
async function weighed(
  layer: LayerView,
  { scores, counts, epsilon }: Weighed,
): Promise<Float32Array> {
  const weight = (score: number) => Number.isFinite(score) ? Math.max(0, score) + epsilon : 0;
  const weights = scores.map(weight);
  const norms = await layer.outputNorms(counts && { weights, counts });
  return scores.map((score, index) =>
    Number.isFinite(score) ? weight(score) * (norms[index] ?? 0) : score
  );
}

export default criticalKv;
