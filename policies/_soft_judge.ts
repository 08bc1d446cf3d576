import { sharedByBest } from "./_best_of_heads.ts";
import { reachForward, reachForwardKernel } from "./_forward.ts";
import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { pool, poolingOptions, poolKernel, type PoolOptions } from "./_pool.ts";
import { describeSource, softTokenLoader, type SoftTokenNeeds } from "./_soft_tokens.ts";
import { groupMost, groupMostKernel } from "./kernels/group_most.ts";
import { columns, joined, scalar, zeroColumns } from "./kernels/nodes.ts";
import {
  type KernelBuilder,
  type KernelValue,
  type LayerView,
  type Score,
  type ScoreKernel,
  type ScorerPolicy,
  type SecondStage,
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
  share: {
    kind: "choice",
    words: ["layer", "head"],
    default: "layer",
    about:
      "whose best tokens a budget is for: those of a layer's heads, which share it by what the soft " +
      "tokens attend to while the first four tokens are kept and judge nothing, or those of each KV head",
  },
  kernel: { ...poolingOptions.kernel, default: 5 },
  pooling: { ...poolingOptions.pooling, default: "avg" },
} as const;

/** Tokens at the beginning that are kept where heads share a budget: all heads look there, whatever comes. */
const SINKS = 4;

/** Share of a budget, but for what is always kept, that each head has for itself. */
const OWN_SHARE = 0.2;

/** Below it a draft's attention says nothing: tokens are then ranked by the soft tokens alone. */
const LEAST_SHARE = 1e-7;

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
    const { softTokens, draft, reach, window, group, share, kernel, pooling } = settings;
    const shared = share === "layer";
    const unjudged = shared ? SINKS : 0;
    const judges: Judges = {
      ofSoft: softScore(group, { kernel, pooling }, unjudged),
      ofDraft: draft > 0 ? draftScore(reach, unjudged) : undefined,
      window,
    };
    return {
      options: Object.freeze({ ...settings, softTokens: describeSource(softTokens) }),
      evidence: {
        kind: "soft",
        tokens: softTokenLoader(softTokens, { ...needs, policy: about.name }),
        ...(draft > 0 ? { draft } : {}),
      },
      ...(shared
        ? {
          ...budgetOfLayer(judges),
          evenHeads: softJudge(about, { ...options, share: "head" }, needs),
        }
        : budgetOfHead(judges)),
    };
  });
}

/** What soft tokens and a draft, if there is one, say of a layer's tokens. */
interface Judges {
  readonly ofSoft: TwoScores;
  readonly ofDraft: TwoScores | undefined;
  /** Last tokens that are always kept. */
  readonly window: number;
}

/** How tokens are chosen by what was judged. */
type Choice = Pick<ScorerPolicy, "protect" | "allocateHeads" | "score" | "secondStage">;

/** Each head has a budget of its own. */
function budgetOfHead({ ofSoft, ofDraft, window }: Judges): Choice {
  return {
    protect: { recent: window },
    score: ofDraft ? withDraft(ofSoft, ofDraft) : withKernel(ofSoft.host, ofSoft.kernel),
  };
}

/** The heads of a layer share its budget by what the soft tokens attend to. */
function budgetOfLayer({ ofSoft, ofDraft, window }: Judges): Choice {
  const alwaysKept = (keep: number) => ({
    sinks: Math.min(SINKS, Math.max(0, keep - window)),
    recent: window,
  });
  return {
    protect: alwaysKept,
    allocateHeads: sharedByBest((keep) => ownTokens(keep, alwaysKept(keep))),
    score: withKernel(ofSoft.host, ofSoft.kernel),
    ...(ofDraft ? { secondStage: byDraft(ofDraft) } : {}),
  };
}

/** Tokens that a head has for itself, at least 1, of so many per head. */
function ownTokens(
  keep: number,
  kept: { readonly sinks: number; readonly recent: number },
): number {
  const always = Math.min(keep, kept.sinks + kept.recent);
  return Math.max(1, always + Math.floor(OWN_SHARE * (keep - always)));
}

/** A score in main memory and where the cache lives. */
interface TwoScores {
  readonly host: (layer: LayerView) => Promise<Float32Array>;
  readonly kernel: ScoreKernel;
}

/** @param unjudged Tokens at the beginning that count as 0. */
function softScore(
  group: "max" | "mean",
  pooling: Omit<PoolOptions, "end">,
  unjudged: number,
): TwoScores {
  return {
    async host(layer) {
      const { length } = layer;
      const attention = group === "mean"
        ? await layer.groupAttention()
        : groupMost(await layer.attention(), layer);
      return pool(behind(attention, length, unjudged), length, { ...pooling, end: length });
    },
    kernel(layer) {
      const attention = group === "mean"
        ? layer.groupAttention()
        : groupMostKernel(layer, layer.attention());
      return poolKernel(layer, behindKernel(layer, attention, unjudged), pooling);
    },
  };
}

/** What stands behind the first tokens of each row; these are 0. */
function behind(scores: Float32Array, length: number, first: number): Float32Array {
  if (first === 0) return scores;
  const rest = scores.slice();
  for (let start = 0; start < rest.length; start += length) {
    rest.fill(0, start, start + Math.min(first, length));
  }
  return rest;
}

/** {@linkcode behind} where the cache lives: scores are `[kvHeads, length]`. */
function behindKernel(builder: KernelBuilder, scores: KernelValue, first: number): KernelValue {
  if (first === 0) return scores;
  const unjudged = builder.atLeast(first) ? first : builder.length;
  return joined(builder, [zeroColumns(builder, unjudged), columns(builder, scores, unjudged)], 1);
}

/** The most that one of a draft's tokens pays, where that reaches other tokens. */
function draftScore(reach: number, unjudged: number): TwoScores {
  // Chosen on questions set aside (docs/training.md), as the default of `reach` is.
  const reaching = reach > 0 ? { reach, decay: 0.95, before: 0.7 } : undefined;
  return {
    async host(layer) {
      const { length } = layer;
      const attention = behind(groupMost(await layer.draftAttention(), layer), length, unjudged);
      return reaching === undefined ? attention : reachForward(attention, length, reaching);
    },
    kernel(layer) {
      const most = groupMostKernel(layer, layer.draftAttention());
      const attention = behindKernel(layer, most, unjudged);
      return reaching === undefined ? attention : reachForwardKernel(layer, attention, reaching);
    },
  };
}

/** The score of soft tokens times what a draft attends to. */
function withDraft(ofSoft: TwoScores, ofDraft: TwoScores): Score {
  return withKernel(
    async (layer) => {
      const soft = await ofSoft.host(layer);
      const draft = await ofDraft.host(layer);
      return draft.map((share, token) => share * (soft[token] ?? 0));
    },
    (layer) => layer.op("Mul", [ofDraft.kernel(layer), ofSoft.kernel(layer)]),
  );
}

/** The same product, once the heads' shares are known by what the soft tokens attend to. */
function byDraft(ofDraft: TwoScores): SecondStage {
  return {
    first: 0,
    rescore: withKernel(
      async (layer: LayerView, scores: Float32Array) => {
        const draft = await ofDraft.host(layer);
        return scores.map((score, token) => score * Math.max(draft[token] ?? 0, LEAST_SHARE));
      },
      (layer, scores) =>
        layer.op("Mul", [
          scores,
          layer.op("Max", [ofDraft.kernel(layer), scalar(layer, LEAST_SHARE)]),
        ]),
    ),
  };
}
