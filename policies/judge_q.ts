import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { softJudge, softJudgeOptions } from "./_soft_judge.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode judgeQ}. */
export const about = {
  name: "judge_q",
  summary: "Keeps the tokens that trained soft tokens, appended to the prompt, attend to.",
  paper: "https://arxiv.org/abs/2509.10798",
  options: softJudgeOptions,
} as const satisfies PolicyAbout;

/** Options of {@linkcode judgeQ}. */
export type JudgeQOptions = OptionsOf<typeof about>;

/**
 * Judge Q: soft tokens, trained to attend as the answer will, are appended to the prompt and removed
 * again; the score is the attention of their queries, averaged over them and over the query heads of
 * the group, then pooled over the tokens.
 *
 * Differs from the paper: a KV head's score is the mean over its group of query heads; scores are
 * pooled by an average of 5 tokens, which gave the most right answers on questions set aside for that
 * choice (`docs/training.md`). Where no
 * trained tokens ship for a model and none are given, they are random: the mechanism runs, its
 * quality is not the paper's, and the session's notes say so.
 *
 * @throws {OptionError} If an option is unknown or out of range. A file that is damaged, has adapters
 * or was made for another model is refused when a prompt is read.
 *
 * @example
 * ```ts
 * import { judgeQ } from "./judge_q.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { options } = judgeQ({ softTokens: "soft.safetensors", window: 16 });
 * assertEquals(options, { softTokens: "soft.safetensors", window: 16, kernel: 5, pooling: "avg" });
 * ```
 */
export function judgeQ(options: JudgeQOptions = {}): ScorerPolicy {
  return softJudge(about, options, { adapters: false, train: "kvjudge train judge-q" });
}

export default judgeQ;
