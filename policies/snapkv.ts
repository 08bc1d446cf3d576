import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { poolingOptions } from "./_pool.ts";
import { windowOption, windowScore } from "./_window_judge.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode snapKv}. */
export const about = {
  name: "snapkv",
  summary: "Keeps the tokens that the last prompt tokens attend to, with their neighbours.",
  paper: "https://arxiv.org/abs/2404.14469",
  options: { window: windowOption, ...poolingOptions },
} as const satisfies PolicyAbout;

/** Options of {@linkcode snapKv}. */
export type SnapKvOptions = OptionsOf<typeof about>;

/**
 * SnapKV: the score is the attention of the last `window` prompt queries, averaged over them and over
 * the query heads of the group, then pooled over the tokens before the window.
 *
 * The defaults are its authors' settings for LongBench.
 *
 * Differs from the paper: query heads that share a KV head vote together, where the authors' code
 * stores a copy of the keys for each query head.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { snapKv } from "./snapkv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = snapKv({ window: 16 });
 * assertEquals(policy.evidence, { kind: "window", size: 16 });
 * assertEquals(policy.options, { window: 16, kernel: 7, pooling: "max" });
 * ```
 */
export function snapKv(options: SnapKvOptions = {}): ScorerPolicy {
  return makePolicy(about, options, (settings) => ({
    evidence: { kind: "window", size: settings.window },
    protect: { recent: settings.window },
    score: windowScore(settings),
  }));
}

export default snapKv;
