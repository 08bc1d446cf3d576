import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { innerOption, wrapPolicy } from "./_wrap.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode merge}. */
export const about = {
  name: "merge",
  summary: "Wraps a policy: the values of dropped tokens go into those of their nearest kept ones.",
  paper: "https://arxiv.org/abs/2406.13035",
  options: {
    inner: innerOption,
    threshold: {
      kind: "number",
      min: 0,
      max: 1,
      default: 0,
      about: "least cosine of two keys with which one token's value goes into the other's",
    },
    fraction: {
      kind: "number",
      min: 0,
      max: 1,
      default: 1,
      about: "share of the dropped tokens that are merged, those with the nearest keys first",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode merge}. */
export type MergeOptions = OptionsOf<typeof about>;

/**
 * Merging on eviction, as in D2O: the inner policy decides what stays. The value of each token that it drops
 * is added to that of the kept token whose key points most nearly its way, weighed by their cosine and by the
 * dropped value's share of both values' lengths; the sum is divided by 1 and the weights. Keys stay as
 * they are, so that their rotation holds.
 *
 * Differs from the paper: neither layers nor what is merged adapt to the attention; the rule for values is that of
 * kvpress' `MergingPress`.
 *
 * @throws {OptionError} If an option is unknown or out of range, or the policy inside merges itself.
 *
 * @example
 * ```ts
 * import { merge } from "./merge.ts";
 * import { snapKv } from "./snapkv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = merge({ inner: snapKv({ window: 8 }), threshold: 0.5 });
 * assertEquals(policy.merging, { threshold: 0.5, fraction: 1 });
 * ```
 */
export function merge(options: MergeOptions = {}): ScorerPolicy {
  return wrapPolicy(about, options, ({ merging }, { settings, refuse }) => {
    if (merging) throw refuse("it merges what it drops itself");
    const { threshold, fraction } = settings;
    return { merging: Object.freeze({ threshold, fraction }) };
  });
}

export default merge;
