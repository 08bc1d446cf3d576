import type { SamplingSettings } from "./request.ts";

/** What changes logits before a token is drawn. */
export type LogitSettings = Pick<
  SamplingSettings,
  "logitBias" | "frequencyPenalty" | "presencePenalty"
>;

/**
 * Logits with what a request adds to some and subtracts from those of tokens that the answer has
 * already; the same array where there is nothing to change.
 *
 * @param counts How often the answer has each of its tokens.
 *
 * @example
 * ```ts
 * import { adjustLogits } from "./adjust_logits.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const settings = { logitBias: { 0: 5 }, frequencyPenalty: 0.5, presencePenalty: 1 };
 * const logits = adjustLogits(Float32Array.of(1, 1, 1), settings, new Map([[2, 2]]));
 * assertEquals(logits, Float32Array.of(6, 1, -1));
 * ```
 */
export function adjustLogits(
  logits: Float32Array,
  { logitBias = {}, frequencyPenalty = 0, presencePenalty = 0 }: LogitSettings,
  counts: ReadonlyMap<number, number>,
): Float32Array {
  const biases = Object.entries(logitBias);
  const penalises = (frequencyPenalty !== 0 || presencePenalty !== 0) && counts.size > 0;
  if (biases.length === 0 && !penalises) return logits;
  const adjusted = logits.slice();
  const add = (id: number, amount: number) => {
    const logit = adjusted[id];
    if (logit !== undefined) adjusted[id] = logit + amount;
  };
  for (const [id, bias] of biases) add(Number(id), bias);
  if (penalises) {
    for (const [id, count] of counts) add(id, -(frequencyPenalty * count + presencePenalty));
  }
  return adjusted;
}
