import { type PolicyAbout, readOptions } from "./_options.ts";
import { softJudge, type SoftJudgeOptions, softJudgeOptions } from "./_soft_judge.ts";
import type { ScorerPolicy } from "./policy.ts";

const PAPER = "https://arxiv.org/abs/2603.10899";

/** Options of {@linkcode lookaheadKv}. */
export interface LookaheadKvOptions extends SoftJudgeOptions {}

/** What the registry says about {@linkcode lookaheadKv}. */
export const about: PolicyAbout<LookaheadKvOptions> = {
  name: "lookahead_kv",
  summary: "Keeps what trained lookahead tokens, which run with low-rank weights, attend to.",
  paper: PAPER,
  options: softJudgeOptions,
};

/**
 * LookaheadKV: learned tokens stand for the answer that is to come. They run behind the prompt with
 * low-rank weights of their own, trained with them; the prompt's tokens never see those weights. The
 * score is the attention of the tokens' queries, averaged over them and over the query heads of the
 * group, then pooled over the tokens; the tokens are removed again.
 *
 * Paper: https://arxiv.org/abs/2603.10899
 *
 * Differs from the paper: the low-rank weights may act on any choice of the seven projections, and
 * have no scale of their own: a trainer folds it into them. Where no trained tokens ship for a model
 * and none are given, the tokens are random and have no such weights (new ones would add zero): the
 * mechanism runs, its quality is not the paper's, and the session's notes say so.
 *
 * @throws {OptionError} If an option is unknown or out of range. A file that is damaged, has no
 * adapters or was made for another model is refused when a prompt is read.
 *
 * @example
 * ```ts
 * import { lookaheadKv } from "./lookahead_kv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { options } = lookaheadKv({ softTokens: "lookahead.safetensors", kernel: 1 });
 * assertEquals(options, {
 *   softTokens: "lookahead.safetensors",
 *   window: 32,
 *   kernel: 1,
 *   pooling: "avg",
 * });
 * ```
 */
export function lookaheadKv(options: LookaheadKvOptions = {}): ScorerPolicy {
  return softJudge(PAPER, readOptions(about, options), {
    policy: about.name,
    adapters: true,
    train: "kvjudge train lookahead-kv",
  });
}

export default lookaheadKv;
