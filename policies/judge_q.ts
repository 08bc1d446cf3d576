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
 * again; the score is the attention of their queries, averaged over them, the most over the query heads
 * of the group, then pooled over the tokens.
 *
 * Differs from the paper: scores are pooled by an average of 5 tokens, and the beginning of the answer
 * judges too. `draft` tokens of it are decoded with the whole cache, the soft tokens stand behind them,
 * and the score is multiplied with the most that the last prompt token or one of the draft pays, which
 * reaches the `reach` tokens behind each token. The heads of a layer share its budget: how much each
 * gets goes by what the soft tokens attend to, which of its tokens by the product; the first four tokens,
 * where all heads look in any case, are kept and judge nothing. Heads then hold different numbers of
 * tokens. All of that gave more right answers on questions set aside for the choice (`docs/training.md`);
 * `{ draft: 0, group: "mean", share: "head" }` is the paper's.
 *
 * Where no answer follows what is read (a document before its question, a piece of a text before the next)
 * the soft tokens judge alone. Where no trained tokens ship for a model and none are given, they are random:
 * the mechanism runs, its quality is not the paper's, and the session's notes say so. Wrappers that divide
 * budgets themselves, such as `ada_kv`, wrap `judge_q(share=head)` in its place.
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
 * assertEquals(options, {
 *   softTokens: "soft.safetensors",
 *   draft: 4,
 *   reach: 32,
 *   window: 16,
 *   group: "max",
 *   share: "layer",
 *   kernel: 5,
 *   pooling: "avg",
 * });
 * ```
 */
export function judgeQ(options: JudgeQOptions = {}): ScorerPolicy {
  return softJudge(about, options, { adapters: false, train: "kvjudge train judge-q" });
}

export default judgeQ;
