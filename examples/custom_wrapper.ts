/**
 * A policy around another one: the first policy in the parentheses comes as `inner`.
 *
 *     deno task kvjudge policies check examples/custom_wrapper.ts
 *     deno task kvjudge explain -p 'examples/custom_wrapper.ts(snapkv(window=16),spread=2)' -f report.txt
 *
 * @module
 */
import { OptionError, type ScorerPolicy } from "../policies/policy.ts";

/** What stands in the parentheses. */
interface Options {
  readonly inner?: ScorerPolicy;
  readonly spread?: number;
}

/** Gives each token the best score within `spread` tokens, so that what is kept comes in runs. */
export default function neighbours({ inner, spread = 1, ...others }: Options = {}): ScorerPolicy {
  if (inner === undefined) throw new OptionError("Cannot make neighbours: give a policy to wrap");
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new OptionError(`Neighbours has no option '${unknown}'`);
  return {
    ...inner, // Its evidence, what it protects, how it divides the budget among layers.
    name: "neighbours",
    options: { inner: inner.name, spread },
    async score(layer) {
      const scores = await inner.score(layer);
      return scores.map((_, index) => {
        const row = index - index % layer.length; // Where the token's KV head begins.
        const first = Math.max(row, index - spread);
        const behind = Math.min(row + layer.length, index + spread + 1);
        return Math.max(...scores.subarray(first, behind));
      });
    },
  };
}
