import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { norms } from "./kernels/nodes.ts";
import { type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode knorm}. */
export const about = {
  name: "knorm",
  summary: "Keeps the tokens whose keys have the smallest norm; needs no attention.",
  paper: "https://arxiv.org/abs/2406.11430",
  options: {},
} as const satisfies PolicyAbout;

/** Knorm has no options. */
export type KnormOptions = OptionsOf<typeof about>;

/**
 * Knorm: the score is minus the Euclidean norm of the key, per KV head.
 *
 * Differs from the paper: every layer is evicted; the paper leaves the first layers whole for some
 * models.
 *
 * @throws {OptionError} If any option is given.
 *
 * @example
 * ```ts
 * import { knorm } from "./knorm.ts";
 * import type { LayerView } from "./policy.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const keys = () => Promise.resolve(new Float32Array([3, 4, 0, 2]));
 * const layer = { kvHeads: 1, headDim: 2, length: 2, keys } as LayerView;
 * assertEquals(await knorm().score(layer), new Float32Array([-5, -2]));
 * ```
 */
export function knorm(options: KnormOptions = {}): ScorerPolicy {
  return makePolicy(about, options, () => ({
    evidence: { kind: "none" },
    score: withKernel(async ({ kvHeads, headDim, length, keys }) => {
      const rows = await keys();
      const scores = new Float32Array(kvHeads * length);
      for (let token = 0; token < length; token++) {
        for (let head = 0; head < kvHeads; head++) {
          const start = (token * kvHeads + head) * headDim;
          let squares = 0;
          for (let i = start; i < start + headDim; i++) squares += (rows[i] ?? 0) ** 2;
          scores[head * length + token] = -Math.sqrt(squares);
        }
      }
      return scores;
    }, (layer) => layer.op("Neg", [norms(layer, layer.keys())])),
  }));
}

export default knorm;
