import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { createPrng } from "./_random.ts";
import { type LayerShape, type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode random}. */
export const about = {
  name: "random",
  summary: "Keeps random tokens: the baseline that every method must beat.",
  options: {
    seed: {
      kind: "integer",
      min: 0,
      default: 0,
      about: "same seed, same tokens, on every machine",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode random}. */
export type RandomOptions = OptionsOf<typeof about>;

/**
 * Random scores, the baseline that every method must beat. Each layer and KV head keeps other tokens.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import type { LayerView } from "./policy.ts";
 * import { random } from "./random.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const layer = { layer: 3, kvHeads: 2, length: 5 } as LayerView;
 * assertEquals(random({ seed: 7 }).score(layer), random({ seed: 7 }).score(layer));
 * ```
 */
export function random(options: RandomOptions = {}): ScorerPolicy {
  return makePolicy(about, options, ({ seed }) => {
    const draw = ({ layer, kvHeads, length }: LayerShape): Float32Array => {
      const scores = new Float32Array(kvHeads * length);
      for (let head = 0; head < kvHeads; head++) {
        const next = createPrng(seed, layer, head);
        for (let token = 0; token < length; token++) scores[head * length + token] = next();
      }
      return scores;
    };
    return {
      evidence: { kind: "none" },
      score: withKernel(draw, (layer) => layer.given([layer.kvHeads, "length"], draw)),
    };
  });
}

export default random;
