import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { replayJudge, replayOptions } from "./_replay_judge.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode kvZipPlus}. */
export const about = {
  name: "kvzip_plus",
  summary: "As kvzip, but attention counts by what it adds to the stream.",
  paper: "https://arxiv.org/abs/2601.07891",
  options: replayOptions,
} as const satisfies PolicyAbout;

/** Options of {@linkcode kvZipPlus}. */
export type KvZipPlusOptions = OptionsOf<typeof about>;

/**
 * KVzip+: as `kvzip`, but the attention that a query of the repetition pays counts by what it adds: times the
 * length of what the token's value becomes in the layer's output, by the length of what the layer's
 * attention reads for the query, `attention · ‖W_O · V‖₂ / ‖h‖₂`.
 *
 * Differs from the paper: as `kvzip` does.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { kvZipPlus } from "./kvzip_plus.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { evidence } = kvZipPlus();
 * assertEquals(evidence.kind === "replay" ? evidence.measure : "", "contribution");
 * ```
 */
export function kvZipPlus(options: KvZipPlusOptions = {}): ScorerPolicy {
  return replayJudge(about, options, "contribution");
}

export default kvZipPlus;
