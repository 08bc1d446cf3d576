import { sharedByBest } from "./_best_of_heads.ts";
import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { groupMost, groupMostKernel } from "./kernels/group_most.ts";
import { type Replay, type ScorerPolicy, withKernel } from "./policy.ts";

/** The options of the policies that judge by a repetition of the text. */
export const replayOptions = {
  chunk: {
    kind: "integer",
    min: 1,
    default: 2048,
    about: "tokens of the text that are repeated at a time",
  },
  sinks: {
    kind: "integer",
    min: 0,
    default: 4,
    about: "leading tokens that are always kept, and seen by every repetition",
  },
  layerwise: {
    kind: "flag",
    default: false,
    about: "whether each layer keeps the same number of tokens, which its heads share",
  },
} as const;

/** What a policy that judges by a repetition says of itself. */
type ReplayAbout = PolicyAbout & { readonly options: typeof replayOptions };

/** Tokens of the part before that a repetition is told to start behind. */
const OVERLAP = 8;

/**
 * The policy: the score is the most that a query of the repetition gives to a token, over the query heads of
 * the group; the best of all heads stay, and of all layers.
 */
export function replayJudge(
  about: ReplayAbout,
  options: OptionsOf<ReplayAbout>,
  measure: NonNullable<Replay["measure"]>,
): ScorerPolicy {
  return makePolicy(about, options, ({ chunk, sinks, layerwise }) => ({
    evidence: {
      kind: "replay",
      ...{ chunk, sinks, overlap: OVERLAP, measure },
      instruction: "\n\nRepeat the previous context exactly.",
      continuation: "\n\nRepeat the part of the previous context exactly, starting with",
    },
    protect: (keep) => ({ sinks: Math.min(sinks, keep) }),
    allocateHeads: sharedByBest(() => 1),
    ...(layerwise ? {} : { acrossLayers: true }),
    score: withKernel(
      async (layer) => groupMost(await layer.attention(), layer),
      (layer) => groupMostKernel(layer, layer.attention()),
    ),
  }));
}
