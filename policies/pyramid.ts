import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { alwaysKept, innerOption, wrapPolicy } from "./_wrap.ts";
import { betaOption, pyramid as pyramidAllocator } from "./_pyramid.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode pyramid}. */
export const about = {
  name: "pyramid",
  summary: "Wraps a policy: early layers keep more tokens than late ones.",
  paper: "https://arxiv.org/abs/2406.02069",
  options: { inner: innerOption, beta: betaOption },
} as const satisfies PolicyAbout;

/** Options of {@linkcode pyramid}. */
export type PyramidOptions = OptionsOf<typeof about>;

/**
 * PyramidKV's budgets around any policy that scores: what the policy always keeps is taken out, the
 * rest falls linearly from the first layer to the last.
 *
 * Differs from the paper: the scores are the inner policy's. Of a protection that depends on the budget
 * as much is taken out of what is divided as a budget of one token has.
 *
 * @throws {OptionError} If an option is unknown or out of range, or the policy inside divides its
 * budget itself.
 *
 * @example
 * ```ts
 * import { judgeQ } from "./judge_q.ts";
 * import { pyramid } from "./pyramid.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { allocate } = pyramid({ inner: judgeQ({ window: 8 }), beta: 5 });
 * assertEquals(allocate?.({ layers: 3, length: 200, budget: 28 }), [44, 28, 12]);
 * ```
 */
export function pyramid(options: PyramidOptions = {}): ScorerPolicy {
  return wrapPolicy(about, options, (inner, { settings: { beta }, refuse }) => {
    if (inner.allocate) throw refuse("it divides its budget among the layers itself");
    return {
      allocate(request) {
        const window = alwaysKept(inner, 1, request.length);
        return pyramidAllocator({ window, beta, variant: "authors" })(request);
      },
    };
  });
}

export default pyramid;
