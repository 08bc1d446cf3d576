import { sharedByBest } from "./_best_of_heads.ts";
import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { pool, poolingOptions, poolKernel } from "./_pool.ts";
import { describeSource, softTokenLoader } from "./_soft_tokens.ts";
import { groupMost, groupMostKernel } from "./kernels/group_most.ts";
import { type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode judgeDocument}. */
export const about = {
  name: "judge_document",
  summary: "Keeps what soft tokens foresee that the model attends to when it repeats the text.",
  options: {
    softTokens: {
      kind: "soft_tokens",
      about:
        'safetensors file of soft tokens trained with the target "reconstruct"; when absent those ' +
        'that come with the project for the model, or else random ones, as with "untrained"',
    },
    sinks: {
      kind: "integer",
      min: 0,
      default: 4,
      about: "leading tokens that are always kept",
    },
    share: {
      kind: "choice",
      words: ["all", "layer", "head"],
      default: "all",
      about: "whose best tokens a budget is for: those of all heads, of a layer's, or of each head",
    },
    kernel: { ...poolingOptions.kernel, default: 1 },
    pooling: poolingOptions.pooling,
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode judgeDocument}. */
export type JudgeDocumentOptions = OptionsOf<typeof about>;

/**
 * For documents that will be asked many things, before the first question is known: soft tokens, trained
 * to attend as the model does when it repeats the whole text (KVzip's scores,
 * https://arxiv.org/abs/2505.23416), are appended to the document and removed again. The score is their
 * mean attention, of the query heads of a group the most; the best tokens of all heads share the budget,
 * as in KVzip, or those of a layer's heads, or each head has its own (`share`).
 *
 * Where `kvzip` reads the text a second time, this reads the soft tokens alone. Nobody has published it:
 * a baseline of our own, between `kvzip` and `judge_q`. Where no trained tokens ship for a model and none
 * are given, they are random, and the session's notes say so.
 *
 * @throws {OptionError} If an option is unknown or out of range. A file that is damaged, has adapters
 * or was made for another model is refused when a prompt is read.
 *
 * @example
 * ```ts
 * import { judgeDocument } from "./judge_document.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { options, evidence } = judgeDocument({ softTokens: "document.safetensors", sinks: 8 });
 * assertEquals([options?.softTokens, options?.sinks], ["document.safetensors", 8]);
 * assertEquals(evidence.kind, "soft");
 * ```
 */
export function judgeDocument(options: JudgeDocumentOptions = {}): ScorerPolicy {
  return makePolicy(about, options, (settings) => {
    const { softTokens, sinks, share, kernel, pooling } = settings;
    const poolingOf = (end: number) => ({ kernel, pooling, end });
    return {
      options: Object.freeze({ ...settings, softTokens: describeSource(softTokens) }),
      evidence: {
        kind: "soft",
        tokens: softTokenLoader(softTokens, {
          policy: about.name,
          adapters: false,
          train: "kvjudge train judge-q --target reconstruct",
        }),
      },
      protect: (keep) => ({ sinks: Math.min(sinks, keep) }),
      ...(share === "head" ? {} : { allocateHeads: sharedByBest(() => 1) }),
      ...(share === "all" ? { acrossLayers: true } : {}),
      score: withKernel(
        async (layer) => {
          const { length } = layer;
          return pool(groupMost(await layer.attention(), layer), length, poolingOf(length));
        },
        (layer) =>
          poolKernel(layer, groupMostKernel(layer, layer.attention()), { kernel, pooling }),
      ),
    };
  });
}

export default judgeDocument;
