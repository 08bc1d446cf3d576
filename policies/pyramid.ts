import { type InnerOption, innerOption, wrap } from "./_inner.ts";
import { number, type PolicyAbout, readOptions } from "./_options.ts";
import { pyramid as pyramidAllocator } from "./_pyramid.ts";
import { OptionError, type ScorerPolicy } from "./policy.ts";

/** Options of {@linkcode pyramid}. */
export interface PyramidOptions extends InnerOption {
  /**
   * How steep the pyramid is: the last layer gets the average divided by this.
   *
   * @default {20}
   */
  readonly beta?: number;
}

/** What the registry says about {@linkcode pyramid}. */
export const about: PolicyAbout<PyramidOptions> = {
  name: "pyramid",
  summary: "Wraps a policy: early layers keep more tokens than late ones.",
  paper: "https://arxiv.org/abs/2406.02069",
  options: {
    inner: innerOption,
    beta: number({
      min: 1,
      default: 20,
      about: "how steep: the last layer gets the average divided by this",
    }),
  },
};

/**
 * PyramidKV's budgets around any policy that scores: what the policy always keeps is taken out, the
 * rest falls linearly from the first layer to the last.
 *
 * Paper: https://arxiv.org/abs/2406.02069
 *
 * Differs from the paper: the scores are the inner policy's. A protection that depends on the budget
 * is not taken out of what is divided.
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
  const settings = readOptions(about, options);
  const { beta } = settings;
  return wrap(about, settings, ({ name, allocate, protect }) => {
    if (allocate) {
      throw new OptionError(
        `Cannot wrap '${name}' in 'pyramid': it divides its budget among the layers itself`,
      );
    }
    const { sinks = 0, recent = 0 } = typeof protect === "object" ? protect : {};
    return { allocate: pyramidAllocator({ window: sinks + recent, beta, variant: "authors" }) };
  });
}

export default pyramid;
