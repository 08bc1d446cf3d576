import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout, Settings } from "./_options.ts";
import { pooledAttention, poolingOptions } from "./_pool.ts";
import { describeSource, softTokenLoader } from "./_soft_tokens.ts";
import type { DropMeasure, Evidence, ScorerPolicy } from "./policy.ts";

/** The options of the policies that judge by what an output would lose. */
export const dropOptions = {
  judge: {
    kind: "choice",
    words: ["window", "soft"],
    default: "window",
    about: "whose outputs count: those of the last prompt tokens, or of soft tokens behind them",
  },
  window: {
    kind: "integer",
    min: 1,
    default: 8,
    about: "last prompt tokens that are always kept, and judge unless soft tokens do",
  },
  kernel: { ...poolingOptions.kernel, default: 11 },
  pooling: { ...poolingOptions.pooling, default: "avg" },
  softTokens: {
    kind: "soft_tokens",
    about: 'file of the soft tokens that judge: as those of judge_q, with judge "soft" alone',
  },
} as const;

/** The options, whatever their numbers are when absent. */
type DropSpecs = {
  readonly [Name in keyof typeof dropOptions]:
    & Omit<(typeof dropOptions)[Name], "default">
    & ((typeof dropOptions)[Name] extends { readonly default: number }
      ? { readonly default: number }
      : (typeof dropOptions)[Name]);
};

/** What such a policy says of itself. */
type DropAbout = PolicyAbout & { readonly options: DropSpecs };

/**
 * The policy: the score is what the judges' outputs would lose without a token, averaged over the
 * query heads of the group and pooled over the tokens.
 */
export function dropJudge<const About extends DropAbout>(
  about: About,
  options: OptionsOf<About>,
  measureOf: (settings: Settings<About>) => DropMeasure,
): ScorerPolicy {
  return makePolicy(about, options, (settings) => {
    const { judge, window, kernel, pooling, softTokens }: Settings<DropAbout> = settings;
    const measure = measureOf(settings);
    const evidence: Evidence = judge === "window" ? { kind: "window", size: window, measure } : {
      kind: "soft",
      tokens: softTokenLoader(softTokens, {
        ...{ adapters: false, train: "kvjudge train judge-q" },
        ...{ policy: about.name, ships: "judge_q" },
      }),
      measure,
    };
    return {
      options: Object.freeze({
        ...settings,
        softTokens: judge === "soft" ? describeSource(softTokens) : undefined,
      }),
      evidence,
      protect: { recent: window },
      score: pooledAttention({ kernel, pooling }),
    };
  });
}
