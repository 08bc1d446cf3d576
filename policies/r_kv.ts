import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { pool, poolingOptions, poolKernel } from "./_pool.ts";
import { redundancy, redundancyKernel } from "./kernels/redundancy.ts";
import { type LayerView, type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode rKv}. */
export const about = {
  name: "r_kv",
  summary: "Keeps tokens that are attended to and unlike the others: for long reasoning.",
  paper: "https://arxiv.org/abs/2505.24133",
  options: {
    window: {
      kind: "integer",
      min: 1,
      default: 8,
      about: "last tokens: their queries judge the others, and they are always kept",
    },
    ...poolingOptions,
    lambda: {
      kind: "number",
      min: 0,
      max: 1,
      default: 0.1,
      about: "weight of the attention; the redundancy has the rest",
    },
    threshold: {
      kind: "number",
      min: 0,
      max: 1,
      default: 0.5,
      about: "cosine from which a token repeats another: the last one that it repeats is spared",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode rKv}. */
export type RKvOptions = OptionsOf<typeof about>;

/**
 * R-KV: long reasoning repeats itself. The score is the attention of the last `window` queries, pooled, weighed
 * against how redundant a token is: the mean cosine of its key with those of all tokens, as a share
 * (softmax) over the tokens. Of several tokens that are alike the last one does not count as their
 * repetition, so that it stays. It is made for answers: `while_decoding(r_kv,every=128)` evicts while one is
 * written, as its authors do.
 *
 * Differs from the paper: attention is averaged over the query heads of a group, where its authors' code takes
 * the largest logit of each group; shares of attention are those among all tokens, the window's
 * own too.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { rKv } from "./r_kv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(rKv({ window: 16 }).protect, { recent: 16 });
 * ```
 */
export function rKv(options: RKvOptions = {}): ScorerPolicy {
  return makePolicy(about, options, ({ window, kernel, pooling, lambda, threshold }) => {
    const pooled = (length: number) => ({ kernel, pooling, end: Math.max(0, length - window) });
    const mixed = async (layer: LayerView): Promise<Float32Array> => {
      const { length } = layer;
      const attention = pool(await layer.groupAttention(), length, pooled(length));
      const repeated = await redundancy(layer, threshold);
      return attention.map((paid, at) => lambda * paid - (1 - lambda) * (repeated[at] ?? 0));
    };
    return {
      evidence: { kind: "window", size: window },
      protect: { recent: window },
      score: withKernel(mixed, (layer) => {
        const weighed = (value: string, by: number) =>
          layer.op("Mul", [value, layer.constant(Float32Array.of(by), [])]);
        const merged = { kernel, pooling, spared: window };
        const attention = poolKernel(layer, layer.groupAttention(), merged);
        const repeated = redundancyKernel(layer, threshold);
        return layer.op("Sub", [weighed(attention, lambda), weighed(repeated, 1 - lambda)]);
      }),
    };
  });
}

export default rKv;
