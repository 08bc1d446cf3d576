/**
 * A policy of your own. Check it, then use it wherever a policy is named:
 *
 *     deno task kvjudge policies check examples/custom_policy.ts
 *     deno task kvjudge generate -p 'examples/custom_policy.ts(window=16)' -b 256 -f report.txt "Who?"
 *
 * @module
 */
import type { ScorerPolicy } from "../policies/policy.ts";

/** Ranks a token by the attention that it gets from the end of the prompt, times its value's size. */
export default function weightedValues({ window = 32 } = {}): ScorerPolicy {
  return {
    name: "weighted_values",
    options: { window }, // Shown in records of a run.
    // What the runtime must gather: here the attention of the last prompt tokens.
    evidence: { kind: "window", size: window },
    // Kept whatever their scores are. They count towards the budget.
    protect: (keep) => ({ recent: Math.min(window, keep) }),
    // Called once per layer. One number for each KV head and token: the highest are kept.
    async score({ kvHeads, headDim, length, groupAttention, values }) {
      const attention = await groupAttention(); // [kvHeads × length]
      const rows = await values(); // [length, kvHeads, headDim], a copy
      return attention.map((paid, index) => {
        const [head, token] = [Math.floor(index / length), index % length];
        const start = (token * kvHeads + head) * headDim;
        return paid * Math.hypot(...rows.subarray(start, start + headDim));
      });
    },
  };
}
