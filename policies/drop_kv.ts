import { dropJudge, dropOptions } from "./_drop_judge.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode dropKv}. */
export const about = {
  name: "drop_kv",
  summary: "Keeps the tokens without which the outputs of the last prompt tokens would move most.",
  paper: "https://openreview.net/forum?id=UVbaJoD3Qa",
  options: dropOptions,
} as const satisfies PolicyAbout;

/** Options of {@linkcode dropKv}. */
export type DropKvOptions = OptionsOf<typeof about>;

/**
 * DropKV: dropping a token gives its share of the attention to the others, which moves a head's output
 * by `p / (1 − p) · (o − v)`. The score is the square of that length, summed over the last `window` prompt
 * tokens, averaged over the query heads of the group and pooled over all tokens.
 *
 * The defaults are its authors' settings.
 *
 * Differs from its authors' code: that computes with 16-bit numbers; soft tokens can judge in place of the last
 * prompt tokens.
 *
 * @throws {OptionError} If an option is unknown or out of range. A file of soft tokens that is damaged,
 * has adapters or was made for another model is refused when a prompt is read.
 *
 * @example
 * ```ts
 * import { dropKv } from "./drop_kv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { evidence } = dropKv({ window: 16 });
 * const measure = { output: "head", power: 2 } as const;
 * assertEquals(evidence, { kind: "window", size: 16, measure });
 * assertEquals(dropKv({ judge: "soft" }).evidence.kind, "soft");
 * ```
 */
export function dropKv(options: DropKvOptions = {}): ScorerPolicy {
  return dropJudge(about, options, () => ({ output: "head", power: 2 }));
}

export default dropKv;
