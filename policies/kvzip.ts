import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { replayJudge, replayOptions } from "./_replay_judge.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode kvZip}. */
export const about = {
  name: "kvzip",
  summary: "Keeps the tokens that the model attends to when it repeats the whole text.",
  paper: "https://arxiv.org/abs/2505.23416",
  options: replayOptions,
} as const satisfies PolicyAbout;

/** Options of {@linkcode kvZip}. */
export type KvZipOptions = OptionsOf<typeof about>;

/**
 * KVzip: the model is asked to repeat the text, part by part, and reads it again as its answer; nothing of
 * that stays. The score of a token is the most attention that a query of the repetition pays to it,
 * over the query heads of the group. A query sees the sinks, the part that it repeats and the repetition up to
 * itself. The best tokens of all layers and KV heads together stay, so that these hold different
 * numbers of tokens. No question is needed: what is kept serves those to come.
 *
 * Costs a second reading of the text and somewhat more. Parts are repeated behind the text: one that fills the
 * model's context is repeated beyond it, where the model was not trained.
 *
 * Differs from the paper: what a chat template writes around the text is repeated too; a KV head keeps at
 * least one token. Layers that slide are not evicted, so that only global ones share the budget. Behind an
 * earlier eviction the whole text is repeated, and what is still held of it is judged.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { kvZip } from "./kvzip.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { evidence, acrossLayers } = kvZip({ chunk: 512 });
 * assertEquals([evidence.kind, acrossLayers], ["replay", true]);
 * assertEquals(kvZip({ layerwise: true }).acrossLayers, undefined);
 * ```
 */
export function kvZip(options: KvZipOptions = {}): ScorerPolicy {
  return replayJudge(about, options, "attention");
}

export default kvZip;
