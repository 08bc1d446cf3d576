import { sharedByBest } from "./_best_of_heads.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { evenInside, innerOption, wrapPolicy } from "./_wrap.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode adaKv}. */
export const about = {
  name: "ada_kv",
  summary: "Wraps a policy: the KV heads of a layer share their budget, so that some keep more.",
  paper: "https://arxiv.org/abs/2407.11550",
  options: {
    inner: innerOption,
    alpha: {
      kind: "number",
      min: 0,
      max: 1,
      default: 0.2,
      about: "share of the budget that every KV head keeps in any case",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode adaKv}. */
export type AdaKvOptions = OptionsOf<typeof about>;

/**
 * Ada-KV: every KV head keeps the best `alpha` of the budget, and what is left of the layer's budget
 * goes to the best tokens of all its heads. Heads then hold different numbers of tokens, and memory
 * follows.
 *
 * Differs from the paper: a head keeps at least one token; what the inner policy protects is kept by
 * each head. Of an inner policy that divides budgets itself its even-headed one is taken.
 *
 * @throws {OptionError} If an option is unknown or out of range, or the policy inside divides its
 * budget among the heads itself and has no even-headed one.
 *
 * @example
 * ```ts
 * import { adaKv } from "./ada_kv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { allocateHeads } = adaKv({ alpha: 0.5 });
 * const scores = [new Float32Array([9, 8, 7, 6]), new Float32Array([5, 4, 3, 2])];
 * assertEquals(await allocateHeads?.({ scores, keep: 2 }), [3, 1]);
 * ```
 */
export function adaKv(options: AdaKvOptions = {}): ScorerPolicy {
  return wrapPolicy(about, evenInside(options), (inner, { settings: { alpha }, refuse }) => {
    if (inner.allocateHeads) throw refuse("it divides its budget among the heads itself");
    return {
      allocateHeads: sharedByBest((keep) => Math.max(1, Math.floor(alpha * keep))),
    };
  });
}

export default adaKv;
