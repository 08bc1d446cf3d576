import { type PolicyAbout, readOptions } from "./_options.ts";
import { type Pooling, poolingOptions } from "./_pool.ts";
import { windowOption, windowScore } from "./_window_judge.ts";
import type { ScorerPolicy } from "./policy.ts";

/** Options of {@linkcode snapKv}. */
export interface SnapKvOptions {
  /**
   * Last prompt tokens: their queries judge the others, and they are always kept.
   *
   * @default {32}
   */
  readonly window?: number;
  /**
   * Tokens that are pooled together, odd.
   *
   * @default {7}
   */
  readonly kernel?: number;
  /**
   * How they are pooled.
   *
   * @default {"max"}
   */
  readonly pooling?: Pooling;
}

/** What the registry says about {@linkcode snapKv}. */
export const about: PolicyAbout<SnapKvOptions> = {
  name: "snapkv",
  summary: "Keeps the tokens that the last prompt tokens attend to, with their neighbours.",
  paper: "https://arxiv.org/abs/2404.14469",
  options: {
    window: windowOption,
    ...poolingOptions(7, "max"),
  },
};

/**
 * SnapKV: the score is the attention of the last `window` prompt queries, averaged over them and over
 * the query heads of the group, then pooled over the tokens before the window.
 *
 * Paper: https://arxiv.org/abs/2404.14469. The defaults are its authors' settings for LongBench.
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
  const settings = readOptions(about, options);
  const { window } = settings;
  return Object.freeze<ScorerPolicy>({
    name: about.name,
    paper: "https://arxiv.org/abs/2404.14469",
    options: settings,
    evidence: { kind: "window", size: window },
    protect: { recent: window },
    score: windowScore(settings),
  });
}

export default snapKv;
