import { integer, type OptionSpec, type PolicyAbout, readOptions } from "./_options.ts";
import { OptionError, type QuerySource, type ScorerPolicy, withKernel } from "./policy.ts";

/** Options of {@linkcode oracle}: `tokens` or `ids`, not both. */
export interface OracleOptions {
  /**
   * Tokens of the model's own greedy answer whose queries judge.
   *
   * @default {64}
   */
  readonly tokens?: number | undefined;
  /** Token ids of a known answer whose queries judge instead. */
  readonly ids?: readonly number[] | undefined;
}

const ids: OptionSpec<readonly number[] | undefined> = {
  type: "a list of at least one token id",
  default: undefined,
  about: "token ids of a known answer whose queries judge instead",
  accepts: (value): value is readonly number[] =>
    Array.isArray(value) && value.length > 0 &&
    value.every((id) => Number.isSafeInteger(id) && id >= 0),
};

/** Steps of the greedy answer when no option is given. */
const DEFAULT_TOKENS = 64;

/** What the registry says about {@linkcode oracle}. */
export const about: PolicyAbout<OracleOptions> = {
  name: "oracle",
  summary: "Keeps the tokens that the answer itself attends to: the upper bound of a method.",
  paper: "https://arxiv.org/abs/2509.10798",
  options: {
    tokens: integer({
      min: 1,
      default: undefined,
      about: `tokens of the model's own greedy answer that judge; ${DEFAULT_TOKENS} when absent`,
    }),
    ids,
  },
};

/**
 * The theoretical upper bound: the score is the attention of the answer's own queries, with the full
 * cache. For experiments, since the answer must be known or decoded first.
 *
 * Paper: https://arxiv.org/abs/2509.10798, section 3.
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
  const settings = readOptions(about, options);
  if (settings.ids !== undefined && settings.tokens !== undefined) {
    throw new OptionError(
      `Cannot make policy '${about.name}': give 'tokens' or 'ids', got both`,
    );
  }
  const queries: QuerySource = settings.ids === undefined
    ? { kind: "greedy", steps: settings.tokens ?? DEFAULT_TOKENS }
    : { kind: "tokens", ids: Object.freeze([...settings.ids]) };
  return Object.freeze<ScorerPolicy>({
    name: about.name,
    paper: "https://arxiv.org/abs/2509.10798",
    options: Object.freeze(
      queries.kind === "greedy" ? { tokens: queries.steps } : { ids: queries.ids },
    ),
    evidence: { kind: "given", queries },
    score: withKernel(
      (layer) => layer.groupAttention(),
      (layer) => layer.groupAttention(),
    ),
  });
}

export default oracle;
