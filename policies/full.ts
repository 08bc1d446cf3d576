import { type PolicyAbout, readOptions } from "./_options.ts";
import type { EvictionPolicy } from "./policy.ts";

/** Full cache has no options. */
export type FullOptions = Record<never, never>;

/** What the registry says about {@linkcode full}. */
export const about: PolicyAbout<FullOptions> = {
  name: "full",
  summary: "Keeps everything, whatever the budget is: the baseline to compare with.",
  options: {},
};

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
  return Object.freeze<EvictionPolicy>({
    name: about.name,
    options: readOptions(about, options),
    evidence: { kind: "none" },
    evicts: false,
    select: ({ kvHeads, length }) =>
      Array.from({ length: kvHeads }, () => Int32Array.from({ length }, (_, index) => index)),
  });
}

export default full;
