import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { alwaysKept, innerOption, wrapPolicy } from "./_wrap.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode whileDecoding}. */
export const about = {
  name: "while_decoding",
  summary: "Wraps a policy: it evicts again and again while the answer is written.",
  options: {
    inner: innerOption,
    every: {
      kind: "integer",
      min: 1,
      default: 64,
      about: "tokens written between two evictions",
    },
    target: {
      kind: "integer",
      min: 1,
      about: "tokens per KV head that each eviction leaves; the budget when absent",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode whileDecoding}. */
export type WhileDecodingOptions = OptionsOf<typeof about>;

/**
 * Evicts a prompt to the budget as the inner policy does, and goes on while the answer is written:
 * after every `every` tokens, if more than `target` are held, the inner policy judges all that is
 * held, prompt and answer alike. Once it has been evicted to `target`, the cache never holds more than
 * `target` and `every` together; where an allocator divides them, on average over the layers.
 *
 * The end of what is written judges, as the end of a prompt would. A window is that of the last
 * queries, no further back than the last eviction; accumulated attention is carried on from eviction
 * to eviction; statistics are those of the queries since the last one; a draft goes on from the last
 * token. For these the last tokens are read once more, observed. Soft tokens probe again, which Judge
 * Q's paper leaves open.
 *
 * A baseline for long answers. Differs from methods that evict at every step: with `every` above 1 a
 * step costs nothing, an eviction the reading of a few tokens.
 *
 * @throws {OptionError} If an option is unknown or out of range, or the policy inside evicts while
 * decoding itself, judges by a known answer, or always keeps more than the target.
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
  return wrapPolicy(about, options, (inner, { settings, refuse }) => {
    const { evidence, phases } = inner;
    const { every, target } = settings;
    if (phases?.decoding) throw refuse("it evicts while decoding already");
    if (evidence.kind === "given" && evidence.queries.kind === "tokens") {
      throw refuse("it judges by a known answer, which is not yet written");
    }
    const needed = target === undefined ? 0 : alwaysKept(inner, target, target + every);
    if (target !== undefined && needed > target) {
      throw refuse(
        `it always keeps ${needed} tokens, more than a target of ${target}; give a target of at ` +
          `least ${needed} or let it protect fewer`,
      );
    }
    const decoding = { every, ...(target === undefined ? {} : { target }) };
    return { phases: { ...phases, decoding } };
  });
}

export default whileDecoding;
