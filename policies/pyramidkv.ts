import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { poolingOptions } from "./_pool.ts";
import { betaOption, pyramid } from "./_pyramid.ts";
import { windowOption, windowScore } from "./_window_judge.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode pyramidKv}. */
export const about = {
  name: "pyramidkv",
  summary: "Judges as SnapKV does; early layers keep more tokens than late ones.",
  paper: "https://arxiv.org/abs/2406.02069",
  options: {
    window: windowOption,
    ...poolingOptions,
    beta: betaOption,
    variant: {
      kind: "choice",
      words: ["authors", "kvpress"],
      default: "authors",
      about: "whether the window comes on top of what is divided, or out of it",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode pyramidKv}. */
export type PyramidKvOptions = OptionsOf<typeof about>;

/**
 * PyramidKV: the score is SnapKV's; the budget falls linearly from the first layer to the last, the
 * average over the layers being the budget.
 *
 * The defaults are its authors' settings.
 *
 * Differs from the paper: shares are rounded so that the layers' sum is exactly the budget times the
 * layers, where the authors' code rounds each one down; query heads that share a KV head vote
 * together.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { pyramidKv } from "./pyramidkv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { allocate } = pyramidKv({ window: 8, beta: 5 });
 * assertEquals(await allocate?.({ layers: 3, length: 200, budget: 28 }), [44, 28, 12]);
 * ```
 */
export function pyramidKv(options: PyramidKvOptions = {}): ScorerPolicy {
  return makePolicy(about, options, (settings) => ({
    evidence: { kind: "window", size: settings.window },
    allocate: pyramid(settings),
    protect: { recent: settings.window },
    score: windowScore(settings),
  }));
}

export default pyramidKv;
