import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { softJudge, softJudgeOptions } from "./_soft_judge.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode lookaheadKv}. */
export const about = {
  name: "lookahead_kv",
  summary: "Keeps what trained lookahead tokens, which run with low-rank weights, attend to.",
  paper: "https://arxiv.org/abs/2603.10899",
  options: softJudgeOptions,
} as const satisfies PolicyAbout;

/** Options of {@linkcode lookaheadKv}. */
export type LookaheadKvOptions = OptionsOf<typeof about>;

/**
 * LookaheadKV: learned tokens stand for the answer that is to come. They run behind the prompt with
 * low-rank weights of their own, trained with them; the prompt's tokens never see those weights. The
 * score is the attention of the tokens' queries, averaged over them, the most over the query heads of
 * the group, then pooled over the tokens; the tokens are removed again.
 *
 * Differs from the paper: a draft of the answer judges too, and the heads of a layer share its budget, both
 * as with `judge_q` (`{ draft: 0, group: "mean", share: "head" }` does neither); the low-rank weights may act
 * on any choice of the seven projections, and have no scale of their own: a trainer folds it into them.
 * Where no trained tokens ship for a model and none are given, the tokens are random and have no such
 * weights (new ones would add zero): the mechanism runs, its quality is not the paper's, and the session's
 * notes say so.
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
 *   draft: 4,
 *   reach: 32,
 *   window: 32,
 *   group: "max",
 *   share: "layer",
 *   kernel: 1,
 *   pooling: "avg",
 * });
 * ```
 */
export function lookaheadKv(options: LookaheadKvOptions = {}): ScorerPolicy {
  return softJudge(about, options, { adapters: true, train: "kvjudge train lookahead-kv" });
}

export default lookaheadKv;
