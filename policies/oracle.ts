import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { OptionError, type QuerySource, type ScorerPolicy, withKernel } from "./policy.ts";

/** Steps of the greedy answer when no option is given. */
const DEFAULT_TOKENS = 64;

/** What the registry says about {@linkcode oracle}. */
export const about = {
  name: "oracle",
  summary: "Keeps the tokens that the answer itself attends to: the upper bound of a method.",
  paper: "https://arxiv.org/abs/2509.10798",
  options: {
    tokens: {
      kind: "integer",
      min: 1,
      about: "tokens of the model's own greedy answer that judge; 64 when absent",
    },
    ids: {
      kind: "token_ids",
      about: "token ids of a known answer whose queries judge instead",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode oracle}: `tokens` or `ids`, not both. */
export type OracleOptions = OptionsOf<typeof about>;

/**
 * The theoretical upper bound (section 3 of the paper): the score is the attention of the answer's own
 * queries, with the full cache. For experiments, since the answer must be known or decoded first.
 *
 * Differs from the paper: a KV head's score is the mean over its group of query heads, and the answer
 * may be cut short by `tokens`.
 *
 * @throws {OptionError} If an option is unknown or out of range, or both are given.
 *
 * @example
 * ```ts
 * import { oracle } from "./oracle.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(oracle({ ids: [5, 6] }).evidence, {
 *   kind: "given",
 *   queries: { kind: "tokens", ids: [5, 6] },
 * });
 * ```
 */
export function oracle(options: OracleOptions = {}): ScorerPolicy {
  return makePolicy(about, options, ({ tokens, ids }) => {
    if (ids !== undefined && tokens !== undefined) {
      throw new OptionError(`Cannot make policy '${about.name}': give 'tokens' or 'ids', got both`);
    }
    const queries: QuerySource = ids === undefined
      ? { kind: "greedy", steps: tokens ?? DEFAULT_TOKENS }
      : { kind: "tokens", ids: Object.freeze([...ids]) };
    return {
      options: Object.freeze(
        queries.kind === "greedy" ? { tokens: queries.steps } : { ids: queries.ids },
      ),
      evidence: { kind: "given", queries },
      score: withKernel(
        (layer) => layer.groupAttention(),
        (layer) => layer.groupAttention(),
      ),
    };
  });
}

export default oracle;
