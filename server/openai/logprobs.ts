import type { ScoredToken } from "../scheduler/events.ts";

/** JSON has no infinity: so unlikely is a token that a grammar or filter rules out. */
const LEAST = -9999;

/** The log probability of a token in a chat's reply. */
export function tokenLogprob({ token, bytes, logprob, top = [] }: ScoredToken) {
  return {
    token,
    logprob: finite(logprob ?? LEAST),
    bytes,
    top_logprobs: top.map((other) => ({
      token: other.token,
      logprob: finite(other.logprob),
      bytes: other.bytes,
    })),
  };
}

/** A log probability as JSON can say it. */
export function finite(logprob: number): number {
  return Math.max(LEAST, logprob);
}
