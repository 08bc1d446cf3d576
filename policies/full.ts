import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import type { EvictionPolicy, LayerView } from "./policy.ts";

/** What the registry says about {@linkcode full}. */
export const about = {
  name: "full",
  summary: "Keeps everything, whatever the budget is: the baseline to compare with.",
  options: {},
} as const satisfies PolicyAbout;

/** Full cache has no options. */
export type FullOptions = OptionsOf<typeof about>;

/**
 * Full cache, the baseline: nothing is evicted, the budget does not count.
 *
 * @throws {OptionError} If any option is given.
 *
 * @example
 * ```ts
 * import { full } from "./full.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(full().evicts, false);
 * ```
 */
export function full(options: FullOptions = {}): EvictionPolicy {
  return makePolicy(about, options, () => ({
    evidence: { kind: "none" },
    evicts: false,
    select: ({ kvHeads, length }: LayerView) =>
      Array.from({ length: kvHeads }, () => Int32Array.from({ length }, (_, index) => index)),
  }));
}

export default full;
