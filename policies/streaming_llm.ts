import { sameForHeads } from "./_kernel_nodes.ts";
import { integer, type PolicyAbout, readOptions } from "./_options.ts";
import { type ScorerPolicy, withKernel } from "./policy.ts";

/** Options of {@linkcode streamingLlm}. */
export interface StreamingLlmOptions {
  /**
   * First tokens that are always kept.
   *
   * @default {4}
   */
  readonly sinks?: number;
}

/** What the registry says about {@linkcode streamingLlm}. */
export const about: PolicyAbout<StreamingLlmOptions> = {
  name: "streaming_llm",
  summary: "Keeps the first tokens (attention sinks) and the last ones.",
  paper: "https://arxiv.org/abs/2309.17453",
  options: {
    sinks: integer({ min: 0, default: 4, about: "first tokens that are always kept" }),
  },
};

/**
 * StreamingLLM: attention sinks and a window of the last tokens, which takes the rest of the budget.
 *
 * Paper: https://arxiv.org/abs/2309.17453
 *
 * Differs from the paper: the prompt is evicted once, after prefill, and kept keys stay rotated at
 * their true positions; the paper evicts at every step and renumbers positions within the cache.
 *
 * @throws {OptionError} If an option is unknown or out of range.
 *
 * @example
 * ```ts
 * import { streamingLlm } from "./streaming_llm.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(streamingLlm({ sinks: 2 }).protect, { sinks: 2 });
 * ```
 */
export function streamingLlm(options: StreamingLlmOptions = {}): ScorerPolicy {
  const settings = readOptions(about, options);
  return Object.freeze<ScorerPolicy>({
    name: about.name,
    paper: "https://arxiv.org/abs/2309.17453",
    options: settings,
    evidence: { kind: "none" },
    protect: { sinks: settings.sinks },
    score: withKernel(
      ({ kvHeads, length }) =>
        Float32Array.from({ length: kvHeads * length }, (_, index) => index % length),
      (layer) =>
        sameForHeads(layer, Float32Array.from({ length: layer.length }, (_, token) => token)),
    ),
  });
}

export default streamingLlm;
