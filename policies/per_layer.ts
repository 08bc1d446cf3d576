import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { innerOption, wrapPolicy } from "./_wrap.ts";
import { shareOut } from "./_share_out.ts";
import { OptionError, type ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode perLayer}. */
export const about = {
  name: "per_layer",
  summary: "Wraps a policy: the budget is divided among the layers by given weights.",
  options: {
    inner: innerOption,
    weights: {
      kind: "weights",
      default: [1],
      about: "weights of the layers, one for each, or a few that are stretched over all of them",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode perLayer}. */
export type PerLayerOptions = OptionsOf<typeof about>;

/**
 * Divides the budget among the layers in proportion to weights. Fewer weights than layers are
 * interpolated linearly: `[3, 1]` falls from the first layer to the last. A layer whose share exceeds
 * the prompt keeps all of it and leaves the rest to the others.
 *
 * A baseline. Differs from a budget given per layer, which is in tokens: the total stays the budget times the
 * layers, whatever the weights are.
 *
 * @throws {OptionError} If an option is unknown or out of range, or the policy inside divides its
 * budget itself. When a prompt is read: if there are more weights than layers.
 *
 * @example
 * ```ts
 * import { perLayer } from "./per_layer.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { allocate } = perLayer({ weights: [3, 1] });
 * assertEquals(allocate?.({ layers: 3, length: 500, budget: 100 }), [150, 100, 50]);
 * ```
 */
export function perLayer(options: PerLayerOptions = {}): ScorerPolicy {
  return wrapPolicy(about, options, (inner, { settings: { weights }, refuse }) => {
    if (inner.allocate) throw refuse("it divides its budget among the layers itself");
    return {
      allocate: ({ layers, length, budget }) =>
        shareOut(layers * budget, stretched(weights, layers), length),
    };
  });
}

function stretched(weights: readonly number[], layers: number): readonly number[] {
  if (weights.length > layers) {
    throw new OptionError(
      `Cannot use ${weights.length} weights in 'per_layer': the model has ${layers} layers that can be ` +
        "evicted; give at most one for each",
    );
  }
  return Array.from({ length: layers }, (_, layer) => {
    const place = layers === 1 ? 0 : layer * (weights.length - 1) / (layers - 1);
    const [before, after] = [Math.floor(place), Math.ceil(place)].map((at) => weights[at] ?? 1);
    return (before ?? 1) + ((after ?? 1) - (before ?? 1)) * (place - Math.floor(place));
  });
}

export default perLayer;
