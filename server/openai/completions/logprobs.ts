import type { ScoredToken } from "../../scheduler/events.ts";
import { finite } from "../logprobs.ts";

/** Log probabilities in the form of `/v1/completions`. */
export interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  /** Where each token begins in the text. */
  readonly text_offset: number[];
}

/** Log probabilities of nothing. */
export function noLogprobs(): CompletionLogprobs {
  return { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
}

/**
 * Adds a token.
 *
 * @returns Where the next one begins.
 */
export function addLogprob(
  logprobs: CompletionLogprobs,
  { token, logprob, top }: ScoredToken,
  offset: number,
): number {
  logprobs.tokens.push(token);
  logprobs.token_logprobs.push(logprob === undefined ? null : finite(logprob));
  logprobs.top_logprobs.push(
    logprob === undefined
      ? null
      : Object.fromEntries((top ?? []).map((one) => [one.token, finite(one.logprob)])),
  );
  logprobs.text_offset.push(offset);
  return offset + token.length;
}
