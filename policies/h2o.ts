import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { type LayerShape, type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode h2o}. */
export const about = {
  name: "h2o",
  summary:
    "Keeps the last tokens and those that received the most attention from the whole prompt.",
  paper: "https://arxiv.org/abs/2306.14048",
  options: {
    recent: {
      kind: "integer",
      min: 0,
      about: "last tokens that are always kept; half of the budget when absent",
    },
    normalize: {
      kind: "choice",
      words: ["none", "visible"],
      default: "none",
      about: "visible: divide by the number of queries that could see the token",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode h2o}. */
export type H2oOptions = OptionsOf<typeof about>;

/**
 * H2O, heavy hitters: the score is the attention received, summed over every prompt query and
 * averaged over the query heads of the group; half of the budget goes to the last tokens.
 *
 * Differs from the paper: the prompt is evicted once, after prefill, where the paper evicts at every
 * step; query heads that share a KV head vote together.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { h2o } from "./h2o.ts";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * assertEquals(h2o({ recent: 8 }).options, { recent: 8, normalize: "none" });
 * assertThrows(() => h2o({ recent: -1 }), RangeError, "'recent' must be an integer of at least 0");
 * ```
 */
export function h2o(options: H2oOptions = {}): ScorerPolicy {
  return makePolicy(about, options, ({ recent, normalize }) => ({
    evidence: { kind: "accumulated" },
    protect: (keep) => ({ recent: recent ?? Math.floor(keep / 2) }),
    score: normalize === "none"
      ? withKernel(
        async (layer) => await layer.groupAttention(),
        (layer) => layer.groupAttention(),
      )
      : withKernel(
        async (layer) => {
          const queries = visibleQueries(layer);
          const received = await layer.groupAttention();
          return received.map((sum, index) => sum / (queries[index] ?? 0));
        },
        (layer) =>
          layer.op("Div", [
            layer.groupAttention(),
            layer.given([layer.kvHeads, "length"], visibleQueries),
          ]),
      ),
  }));
}

/** A token at position `p` of `n` is visible to itself and to the `n - p - 1` after it. */
function visibleQueries({ positions }: LayerShape): Float32Array {
  const end = positions.reduce((max, position) => Math.max(max, position), 0) + 1;
  return Float32Array.from(positions, (position) => end - position);
}

export default h2o;
