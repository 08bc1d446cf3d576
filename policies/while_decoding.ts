import { type InnerOption, innerOption, wrap } from "./_inner.ts";
import { integer, type PolicyAbout, readOptions } from "./_options.ts";
import { OptionError, type ScorerPolicy } from "./policy.ts";

/** Options of {@linkcode whileDecoding}. */
export interface WhileDecodingOptions extends InnerOption {
  /**
   * Tokens that are written between two evictions.
   *
   * @default {64}
   */
  readonly every?: number;
  /**
   * Tokens per KV head and layer that each eviction leaves.
   *
   * @default {the budget}
   */
  readonly target?: number | undefined;
}

/** What the registry says about {@linkcode whileDecoding}. */
export const about: PolicyAbout<WhileDecodingOptions> = {
  name: "while_decoding",
  summary: "Wraps a policy: it evicts again and again while the answer is written.",
  options: {
    inner: innerOption,
    every: integer({ least: 1, default: 64, about: "tokens written between two evictions" }),
    target: integer({
      least: 1,
      default: undefined,
      about: "tokens per KV head that each eviction leaves; the budget when absent",
    }),
  },
};

/**
 * Evicts a prompt as the inner policy does, and goes on while the answer is written: whenever `every`
 * tokens were written and more than `target` are held, the inner policy judges all that is held,
 * prompt and answer alike. The cache never holds more than `target` and `every` together, once it has
 * been evicted to `target`.
 *
 * The last tokens written are read again, observed, so that they judge as the end of a prompt would:
 * those of a window, or all since the last eviction where attention is accumulated or queries are
 * counted. Soft tokens probe anew, which Judge Q's paper leaves open.
 *
 * A baseline for long answers. Differs from methods that evict at every step: a step costs nothing,
 * an eviction the reading of a few tokens.
 *
 * @throws {OptionError} If an option is unknown or out of range, or the policy inside evicts while
 * decoding itself or judges by a known answer.
 *
 * @example
 * ```ts
 * import { whileDecoding } from "./while_decoding.ts";
 * import { tova } from "./tova.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = whileDecoding({ inner: tova(), every: 32, target: 256 });
 * assertEquals(policy.phases, { decoding: { every: 32, target: 256 } });
 * ```
 */
export function whileDecoding(options: WhileDecodingOptions = {}): ScorerPolicy {
  const settings = readOptions(about, options);
  const { every, target } = settings;
  return wrap(about, settings, ({ name, evidence, phases }) => {
    const refuse = (reason: string) => {
      throw new OptionError(`Cannot wrap '${name}' in '${about.name}': ${reason}`);
    };
    if (phases?.decoding) refuse("it evicts while decoding already");
    if (evidence.kind === "given" && evidence.queries.kind === "tokens") {
      refuse("it judges by a known answer, which is not yet written");
    }
    return { phases: { decoding: { every, ...(target === undefined ? {} : { target }) } } };
  });
}

export default whileDecoding;
