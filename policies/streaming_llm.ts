import { makePolicy } from "./_make.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { sameForHeads } from "./kernels/nodes.ts";
import { type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode streamingLlm}. */
export const about = {
  name: "streaming_llm",
  summary: "Keeps the first tokens (attention sinks) and the last ones.",
  paper: "https://arxiv.org/abs/2309.17453",
  options: {
    sinks: { kind: "integer", min: 0, default: 4, about: "first tokens that are always kept" },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode streamingLlm}. */
export type StreamingLlmOptions = OptionsOf<typeof about>;

/**
 * StreamingLLM: attention sinks and a window of the last tokens, which takes the rest of the budget.
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
  return makePolicy(about, options, ({ sinks }) => ({
    evidence: { kind: "none" },
    protect: { sinks },
    score: withKernel(
      ({ kvHeads, length }) =>
        Float32Array.from({ length: kvHeads * length }, (_, index) => index % length),
      (layer) => sameForHeads(layer, layer.counting()),
    ),
  }));
}

export default streamingLlm;
