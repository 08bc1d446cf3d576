import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { pool, poolingOptions, poolKernel } from "./_pool.ts";
import { type ScorerPolicy, withKernel } from "./policy.ts";
import { snapKv } from "./snapkv.ts";

/** What the registry says about {@linkcode lookaheadQCache}. */
export const about = {
  name: "lookahead_q_cache",
  summary: "Drafts a few tokens on a SnapKV cache and keeps what their queries attend to.",
  paper: "https://arxiv.org/abs/2505.20334",
  options: {
    steps: {
      kind: "integer",
      min: 1,
      default: 8,
      about: "tokens of the draft whose queries judge",
    },
    window: {
      kind: "integer",
      min: 1,
      default: 32,
      about: "window of the SnapKV draft; with plus it also judges and is always kept",
    },
    plus: {
      kind: "flag",
      default: false,
      about: "whether the last prompt queries judge too (LAQ++)",
    },
    ...poolingOptions,
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode lookaheadQCache}. */
export type LookaheadQCacheOptions = OptionsOf<typeof about>;

/**
 * Lookahead Q-Cache: a copy of the cache is evicted by SnapKV to the same budget, a few tokens are
 * decoded greedily on it, and their queries judge the whole prompt cache; the draft is thrown away.
 * The score is the attention of these queries, averaged over them and over the query heads of the
 * group, then pooled over the tokens.
 *
 * Differs from the paper: a KV head's score is the mean over its group of query heads; a draft that
 * ends early judges with the queries that it has. While it drafts there are two caches, the second one
 * of the budget's size once it is evicted.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { lookaheadQCache } from "./lookahead_q_cache.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = lookaheadQCache({ plus: true });
 * assertEquals(policy.evidence.kind, "lookahead");
 * assertEquals(policy.protect, { recent: 32 });
 * ```
 */
export function lookaheadQCache(options: LookaheadQCacheOptions = {}): ScorerPolicy {
  return makePolicy(about, options, ({ steps, window, plus, kernel, pooling }) => {
    const pooled = (length: number) => ({
      kernel,
      pooling,
      end: plus ? Math.max(0, length - window) : length,
    });
    return {
      evidence: {
        kind: "lookahead",
        steps,
        draft: snapKv({ window, kernel, pooling }),
        ...(plus ? { window } : {}),
      },
      ...(plus ? { protect: { recent: window } } : {}),
      score: withKernel(
        async (layer) => pool(await layer.groupAttention(), layer.length, pooled(layer.length)),
        (layer) =>
          poolKernel(layer, layer.groupAttention(), { kernel, pooling, spared: plus ? window : 0 }),
      ),
    };
  });
}

export default lookaheadQCache;
