import { reachForward, reachForwardKernel } from "./_forward.ts";
import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { pool, poolingOptions, poolKernel, type PoolOptions } from "./_pool.ts";
import { describeSource, softTokenLoader, type SoftTokenNeeds } from "./_soft_tokens.ts";
import { groupMost, groupMostKernel } from "./kernels/group_most.ts";
import {
  type LayerView,
  type Score,
  type ScoreKernel,
  type ScorerPolicy,
  withKernel,
} from "./policy.ts";

/** The options of the policies that judge with soft tokens. */
export const softJudgeOptions = {
  softTokens: {
    kind: "soft_tokens",
    about: "safetensors file of trained soft tokens; when absent those that come with the " +
      'project for the model, or else random ones, as with "untrained"',
  },
  draft: {
    kind: "integer",
    min: 0,
    default: 4,
    about: "tokens of the answer, read with the whole cache before the soft tokens, that judge too",
  },
  reach: {
    kind: "integer",
    min: 0,
    default: 32,
    about: "tokens behind each one that what the draft attends to reaches, as an answer that " +
      "copies goes on from there; 0: the draft's attention as it is",
  },
  window: {
    kind: "integer",
    min: 0,
    default: 32,
    about: "last prompt tokens that are always kept",
  },
  group: {
    kind: "choice",
    words: ["max", "mean"],
    default: "max",
    about: "what counts of the query heads that share a KV head: the most, or their mean",
  },
  kernel: { ...poolingOptions.kernel, default: 5 },
  pooling: { ...poolingOptions.pooling, default: "avg" },
} as const;

/** What a policy that judges with soft tokens says of itself. */
type SoftJudgeAbout = PolicyAbout & { readonly options: typeof softJudgeOptions };

/**
 * The policy: soft tokens are appended to the prompt and removed again; the score is the attention of
 * their queries, averaged over them, the most over the query heads of the group, pooled over the
 * tokens. It is multiplied with what the last prompt token and a draft of the answer attend to, the
 * tokens behind that included: an answer that copies goes on from there.
 */
export function softJudge(
  about: SoftJudgeAbout,
  options: OptionsOf<SoftJudgeAbout>,
  needs: Omit<SoftTokenNeeds, "policy">,
): ScorerPolicy {
  return makePolicy(about, options, (settings) => {
    const { softTokens, draft, reach, window, group, kernel, pooling } = settings;
    const ofSoft = softScore(group, { kernel, pooling });
    return {
      options: Object.freeze({ ...settings, softTokens: describeSource(softTokens) }),
      evidence: {
        kind: "soft",
        tokens: softTokenLoader(softTokens, { ...needs, policy: about.name }),
        ...(draft > 0 ? { draft } : {}),
      },
      protect: { recent: window },
      score: draft > 0 ? withDraft(ofSoft, reach) : withKernel(ofSoft.host, ofSoft.kernel),
    };
  });
}

/** A score in main memory and where the cache lives. */
interface TwoScores {
  readonly host: (layer: LayerView) => Promise<Float32Array>;
  readonly kernel: ScoreKernel;
}

function softScore(group: "max" | "mean", pooling: Omit<PoolOptions, "end">): TwoScores {
  return {
    async host(layer) {
      const { length } = layer;
      const attention = group === "mean"
        ? await layer.groupAttention()
        : groupMost(await layer.attention(), layer);
      return pool(attention, length, { ...pooling, end: length });
    },
    kernel(layer) {
      const attention = group === "mean"
        ? layer.groupAttention()
        : groupMostKernel(layer, layer.attention());
      return poolKernel(layer, attention, pooling);
    },
  };
}

/** What a draft attends to, where its score reaches other tokens. */
function draftScore(reach: number): TwoScores {
  // Chosen on questions set aside (docs/training.md), as the default of `reach` is.
  const reaching = reach > 0 ? { reach, decay: 0.95, before: 0.7 } : undefined;
  return {
    async host(layer) {
      const attention = groupMost(await layer.draftAttention(), layer);
      return reaching === undefined ? attention : reachForward(attention, layer.length, reaching);
    },
    kernel(layer) {
      const attention = groupMostKernel(layer, layer.draftAttention());
      return reaching === undefined ? attention : reachForwardKernel(layer, attention, reaching);
    },
  };
}

/** The score of soft tokens times what a draft attends to. */
function withDraft(ofSoft: TwoScores, reach: number): Score {
  const ofDraft = draftScore(reach);
  return withKernel(
    async (layer) => {
      const soft = await ofSoft.host(layer);
      const draft = await ofDraft.host(layer);
      return draft.map((share, token) => share * (soft[token] ?? 0));
    },
    (layer) => layer.op("Mul", [ofDraft.kernel(layer), ofSoft.kernel(layer)]),
  );
}
