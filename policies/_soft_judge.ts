import { integer, type PolicyAbout, type Settings } from "./_options.ts";
import { pool, type Pooling, poolingOptions, poolKernel } from "./_pool.ts";
import {
  describeSource,
  softTokenLoader,
  type SoftTokenNeeds,
  softTokensOption,
  type SoftTokenSource,
} from "./_soft_tokens.ts";
import { type ScorerPolicy, withKernel } from "./policy.ts";

/** Options of the policies that judge with soft tokens. */
export interface SoftJudgeOptions {
  /**
   * Path or URL of a safetensors file with trained soft tokens, the tokens themselves, or
   * `"untrained"` for random ones.
   *
   * @default {those that come with the project for the model, or else untrained ones}
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
   * @default {5}
   */
  readonly kernel?: number;
  /**
   * How they are pooled.
   *
   * @default {"avg"}
   */
  readonly pooling?: Pooling;
}

/** What the registry says about these options. */
export const softJudgeOptions: PolicyAbout<SoftJudgeOptions>["options"] = {
  softTokens: softTokensOption,
  window: integer({
    min: 0,
    default: 32,
    about: "last prompt tokens that are always kept",
  }),
  ...poolingOptions(5, "avg"),
};

/**
 * The policy: soft tokens are appended to the prompt and removed again; the score is the attention of
 * their queries, averaged over them and over the query heads of the group, then pooled over the
 * tokens.
 */
export function softJudge(
  paper: string,
  settings: Settings<SoftJudgeOptions>,
  needs: SoftTokenNeeds,
): ScorerPolicy {
  const { softTokens, window, kernel, pooling } = settings;
  return Object.freeze<ScorerPolicy>({
    name: needs.policy,
    paper,
    options: Object.freeze({ ...settings, softTokens: describeSource(softTokens) }),
    evidence: { kind: "soft", tokens: softTokenLoader(softTokens, needs) },
    protect: { recent: window },
    score: withKernel(
      async (layer) => {
        const { length } = layer;
        return pool(await layer.groupAttention(), length, { kernel, pooling, end: length });
      },
      (layer) => poolKernel(layer, layer.groupAttention(), { kernel, pooling, end: layer.length }),
    ),
  });
}
