import { dropJudge, dropOptions } from "./_drop_judge.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode restKv}. */
export const about = {
  name: "rest_kv",
  summary: "Keeps the tokens without which the layer's output would move most, late queries first.",
  paper: "https://arxiv.org/abs/2605.08840",
  options: {
    ...dropOptions,
    window: { ...dropOptions.window, default: 32 },
    kernel: { ...dropOptions.kernel, default: 7 },
    decay: {
      kind: "number",
      min: 0,
      max: 1,
      default: 0.9,
      about: "what a query's weight is multiplied with for each query behind it",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode restKv}. */
export type RestKvOptions = OptionsOf<typeof about>;

/**
 * ReST-KV: dropping a token gives its share of the attention to the others, which moves the layer's
 * output by `p / (1 − p) · W_O(o − v)`. The score is the length of that, an exponential mean over the last
 * `window` prompt tokens, averaged over the query heads of the group and pooled over all tokens.
 *
 * Differs from the paper: the width over which scores are pooled is an option, the same for all heads, where the
 * paper adapts it to each; soft tokens can judge in place of the last prompt tokens.
 *
 * @throws {OptionError} If an option is unknown or out of range. A file of soft tokens that is damaged,
 * has adapters or was made for another model is refused when a prompt is read.
 *
 * @example
 * ```ts
 * import { restKv } from "./rest_kv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { evidence } = restKv({ decay: 0.5 });
 * const measure = { output: "layer", power: 1, decay: 0.5 } as const;
 * assertEquals(evidence, { kind: "window", size: 32, measure });
 * ```
 */
export function restKv(options: RestKvOptions = {}): ScorerPolicy {
  return dropJudge(about, options, ({ decay }) => ({ output: "layer", power: 1, decay }));
}

export default restKv;
