import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { alwaysKept, innerOption, wrapPolicy } from "./_wrap.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode whileReading}. */
export const about = {
  name: "while_reading",
  summary: "Wraps a policy: it evicts again and again while the prompt is read.",
  options: {
    inner: innerOption,
    every: {
      kind: "integer",
      min: 1,
      default: 1024,
      about: "tokens read between two evictions",
    },
    keep: {
      kind: "integer",
      min: 1,
      about: "tokens per KV head that these evictions leave; four times the budget when absent",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode whileReading}. */
export type WhileReadingOptions = OptionsOf<typeof about>;

/**
 * Reads a prompt in pieces, and lets the inner policy evict behind each to a working budget of `keep`
 * tokens, several times the budget; after the last piece it evicts to the budget. The cache never holds
 * more than `keep` and `every` tokens together, however long the prompt is; where an allocator divides
 * them, on average over the layers. So reading takes time in proportion to the prompt, not to its
 * square.
 *
 * Each piece judges as the end of a prompt would. A window is that of the piece's last queries;
 * accumulated attention and statistics are carried on from piece to piece, so that they are those of
 * the whole prompt; soft tokens probe behind each piece; a text is repeated whole behind each; a draft, or the answer that an oracle judges by,
 * goes on from each piece. Where the working budget and a piece cover the prompt, nothing differs from
 * the inner policy.
 *
 * A baseline for prompts that memory does not hold whole. What a later piece asks for may be gone, which
 * a policy that judges by the question at the prompt's end cannot know while it reads.
 *
 * @throws {OptionError} If an option is unknown or out of range, or the policy inside evicts while reading
 * itself, judges by its own answer to the whole prompt, or always keeps more than `keep`.
 *
 * @example
 * ```ts
 * import { whileReading } from "./while_reading.ts";
 * import { snapKv } from "./snapkv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = whileReading({ inner: snapKv(), every: 1024, keep: 2048 });
 * assertEquals(policy.phases, { reading: { every: 1024, keep: 2048 } });
 * ```
 */
export function whileReading(options: WhileReadingOptions = {}): ScorerPolicy {
  return wrapPolicy(about, options, (inner, { settings, refuse }) => {
    const { evidence, phases } = inner;
    const { every, keep } = settings;
    if (phases?.reading) throw refuse("it evicts while reading already");
    if (evidence.kind === "given" && evidence.queries.kind === "greedy") {
      throw refuse(
        "it judges by the model's answer to the whole prompt, which no piece of it can give; give it " +
          "a known answer",
      );
    }
    const needed = keep === undefined ? 0 : alwaysKept(inner, keep, keep + every);
    if (keep !== undefined && needed > keep) {
      throw refuse(
        `it always keeps ${needed} tokens, more than the ${keep} of 'keep'; give at least ${needed} ` +
          "or let it protect fewer",
      );
    }
    const reading = { every, ...(keep === undefined ? {} : { keep }) };
    return { phases: { ...phases, reading } };
  });
}

export default whileReading;
