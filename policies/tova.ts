import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { sameForHeads } from "./kernels/nodes.ts";
import { type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode tova}. */
export const about = {
  name: "tova",
  summary: "Keeps the tokens that the last prompt token attends to, the same for every head.",
  paper: "https://arxiv.org/abs/2401.06104",
  options: {},
} as const satisfies PolicyAbout;

/** TOVA has no options. */
export type TovaOptions = OptionsOf<typeof about>;

/**
 * TOVA: the score is the attention of the last prompt query, averaged over all heads of the layer, so
 * that every KV head keeps the same tokens. The last token itself is always kept.
 *
 * Differs from the paper: the prompt is evicted once, after prefill, where the paper drops one token
 * at every step.
 *
 * @throws {OptionError} If any option is given.
 *
 * @example
 * ```ts
 * import { tova } from "./tova.ts";
 * import type { LayerView } from "./policy.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const attention = () => Promise.resolve(new Float32Array([0.5, 0.25, 0.25, 0.75]));
 * const layer = { heads: 2, kvHeads: 2, length: 2, attention } as LayerView;
 * assertEquals(await tova().score(layer), new Float32Array([0.375, 0.5, 0.375, 0.5]));
 * ```
 */
export function tova(options: TovaOptions = {}): ScorerPolicy {
  return makePolicy(about, options, () => ({
    evidence: { kind: "window", size: 1 },
    protect: { recent: 1 },
    score: withKernel(async ({ heads, kvHeads, length, attention }) => {
      const paid = await attention();
      const scores = new Float32Array(kvHeads * length);
      for (let token = 0; token < length; token++) {
        let sum = 0;
        for (let head = 0; head < heads; head++) sum += paid[head * length + token] ?? 0;
        scores[token] = sum / heads;
      }
      for (let head = 1; head < kvHeads; head++) scores.copyWithin(head * length, 0, length);
      return scores;
    }, (layer) =>
      sameForHeads(
        layer,
        layer.op("ReduceMean", [layer.attention(), layer.integers([0])], { keepdims: { int: 1 } }),
      )),
  }));
}

export default tova;
