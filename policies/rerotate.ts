import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { innerOption, wrapPolicy } from "./_wrap.ts";
import type { ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode rerotate}. */
export const about = {
  name: "rerotate",
  summary: "Wraps a policy: kept keys are rotated on to positions without gaps.",
  paper: "https://arxiv.org/abs/2309.17453",
  options: { inner: innerOption },
} as const satisfies PolicyAbout;

/** Options of {@linkcode rerotate}. */
export type RerotateOptions = OptionsOf<typeof about>;

/**
 * Evicts as the inner policy does, then rerotates the kept keys to positions without gaps, as StreamingLLM
 * numbers positions within the cache. Decoding goes on behind them, so that a text may pass the
 * model's context as long as what is kept does not.
 *
 * Attention sees differences of positions only: heads and layers that keep different numbers of tokens
 * all end right before the next token, each without gaps. Which tokens of the text the entries are is
 * remembered beside the cache, 4 bytes for each.
 *
 * Differs from the paper: which tokens stay is the inner policy's choice; keys are rerotated once after
 * each eviction instead of at every step, and are stored rotated.
 *
 * @throws {OptionError} If an option is unknown, or the policy inside rerotates its keys itself. When a prompt is read: if the model's RoPE scaling is
 * dynamic, as keys then have different frequencies.
 *
 * @example
 * ```ts
 * import { rerotate } from "./rerotate.ts";
 * import { streamingLlm } from "./streaming_llm.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const policy = rerotate({ inner: streamingLlm() });
 * assertEquals(policy.positions, "contiguous");
 * ```
 */
export function rerotate(options: RerotateOptions = {}): ScorerPolicy {
  return wrapPolicy(about, options, ({ positions }, { refuse }) => {
    if (positions) throw refuse("it rerotates its keys already");
    return { positions: "contiguous" };
  });
}

export default rerotate;
