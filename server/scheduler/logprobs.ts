/** A token and the natural logarithm of its probability. */
export interface LogProbability {
  readonly id: number;
  readonly logprob: number;
}

/** JSON has no infinities: what is impossible has this logarithm, as OpenAI's replies do. */
const IMPOSSIBLE = -9999;

/**
 * How likely a token is, and the most likely ones, best first.
 *
 * @param logits `[vocabulary]`.
 *
 * @example
 * ```ts
 * import { logprobsOf } from "./logprobs.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { top } = logprobsOf(Float32Array.of(0, Math.log(3), -Infinity), 2, 2);
 * assertEquals(top.map(({ id, logprob }) => [id, Math.exp(logprob).toFixed(2)]), [
 *   [1, "0.75"],
 *   [0, "0.25"],
 * ]);
 * ```
 */
export function logprobsOf(
  logits: Float32Array,
  id: number,
  count: number,
): { readonly logprob: number; readonly top: readonly LogProbability[] } {
  let largest = -Infinity;
  for (const logit of logits) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  const total = largest + Math.log(sum);
  const logprob = (logit = -Infinity) => Math.max(IMPOSSIBLE, logit - total);
  const best: { id: number; logit: number }[] = [];
  for (let other = 0; other < logits.length && count > 0; other++) {
    const logit = logits[other] ?? -Infinity;
    if (best.length === count && logit <= (best.at(-1)?.logit ?? 0)) continue;
    const at = best.findIndex((one) => logit > one.logit);
    best.splice(at < 0 ? best.length : at, 0, { id: other, logit });
    best.length = Math.min(best.length, count);
  }
  return {
    logprob: logprob(logits[id]),
    top: best.map((one) => ({ id: one.id, logprob: logprob(one.logit) })),
  };
}
