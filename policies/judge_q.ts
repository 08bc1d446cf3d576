import { integer, type PolicyAbout, readOptions } from "./_options.ts";
import { pool, type Pooling, poolingOptions } from "./_pool.ts";
import {
  describeSource,
  isSoftTokenSource,
  softTokenLoader,
  type SoftTokenSource,
} from "./_soft_tokens.ts";
import type { ScorerPolicy } from "./policy.ts";

/** Options of {@linkcode judgeQ}. */
export interface JudgeQOptions {
  /**
   * Path or URL of a safetensors file with trained soft tokens, or the tokens themselves.
   *
   * @default {32 untrained tokens}
   */
  readonly softTokens?: SoftTokenSource | undefined;
  /**
   * Last prompt tokens that are always kept.
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

/** What the registry says about {@linkcode judgeQ}. */
export const about: PolicyAbout<JudgeQOptions> = {
  name: "judge_q",
  summary: "Keeps the tokens that trained soft tokens, appended to the prompt, attend to.",
  paper: "https://arxiv.org/abs/2509.10798",
  options: {
    softTokens: {
      type: "a path, a URL or soft tokens",
      default: undefined,
      about: "safetensors file of trained soft tokens; untrained ones when absent",
      accepts: isSoftTokenSource,
    },
    window: integer({
      least: 0,
      default: 32,
      about: "last prompt tokens that are always kept",
    }),
    ...poolingOptions,
  },
};

/**
 * Judge Q: soft tokens, trained to attend as the answer will, are appended to the prompt and removed
 * again; the score is the attention of their queries, averaged over them and over the query heads of
 * the group, then pooled over the tokens.
 *
 * Paper: https://arxiv.org/abs/2509.10798
 *
 * Differs from the paper: a KV head's score is the mean over its group of query heads. Without a file
 * the soft tokens are random and untrained: the mechanism runs, its quality is not the paper's.
 *
 * @throws {OptionError} If an option is unknown or out of range. A file that is damaged or made for
 * another model is refused when the first prompt is evicted.
 *
 * @example
 * ```ts
 * import { judgeQ } from "./judge_q.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { options } = judgeQ({ softTokens: "soft.safetensors", window: 16 });
 * assertEquals(options, { softTokens: "soft.safetensors", window: 16, kernel: 7, pooling: "max" });
 * ```
 */
export function judgeQ(options: JudgeQOptions = {}): ScorerPolicy {
  const settings = readOptions(about, options);
  const { softTokens, window, kernel, pooling } = settings;
  return Object.freeze<ScorerPolicy>({
    name: about.name,
    paper: "https://arxiv.org/abs/2509.10798",
    options: Object.freeze({ ...settings, softTokens: describeSource(softTokens) }),
    evidence: { kind: "soft", tokens: softTokenLoader(softTokens) },
    protect: { recent: window },
    async score(layer) {
      const { length } = layer;
      return pool(await layer.groupAttention(), length, { kernel, pooling, end: length });
    },
  });
}

export default judgeQ;
