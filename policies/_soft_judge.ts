import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { pooledAttention, poolingOptions } from "./_pool.ts";
import { describeSource, softTokenLoader, type SoftTokenNeeds } from "./_soft_tokens.ts";
import type { ScorerPolicy } from "./policy.ts";

/** The options of the policies that judge with soft tokens. */
export const softJudgeOptions = {
  softTokens: {
    kind: "soft_tokens",
    about: "safetensors file of trained soft tokens; when absent those that come with the " +
      'project for the model, or else random ones, as with "untrained"',
  },
  window: {
    kind: "integer",
    min: 0,
    default: 32,
    about: "last prompt tokens that are always kept",
  },
  kernel: { ...poolingOptions.kernel, default: 5 },
  pooling: { ...poolingOptions.pooling, default: "avg" },
} as const;

/** What a policy that judges with soft tokens says of itself. */
type SoftJudgeAbout = PolicyAbout & { readonly options: typeof softJudgeOptions };

/**
 * The policy: soft tokens are appended to the prompt and removed again; the score is the attention of
 * their queries, averaged over them and over the query heads of the group, then pooled over the
 * tokens.
 */
export function softJudge(
  about: SoftJudgeAbout,
  options: OptionsOf<SoftJudgeAbout>,
  needs: Omit<SoftTokenNeeds, "policy">,
): ScorerPolicy {
  return makePolicy(about, options, (settings) => {
    const { softTokens, window, kernel, pooling } = settings;
    return {
      options: Object.freeze({ ...settings, softTokens: describeSource(softTokens) }),
      evidence: {
        kind: "soft",
        tokens: softTokenLoader(softTokens, { ...needs, policy: about.name }),
      },
      protect: { recent: window },
      score: pooledAttention({ kernel, pooling }),
    };
  });
}
