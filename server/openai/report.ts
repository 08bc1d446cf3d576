import type { DoneEvent } from "../scheduler/events.ts";

/** Tokens of a request, as OpenAI counts them. */
export function usageOf({ usage }: DoneEvent) {
  const { promptTokens, completionTokens, cachedTokens } = usage;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}

/** What happened to the cache, and how long it took as llama.cpp says it. */
export function reportOf({ kvjudge, timings }: DoneEvent) {
  const { policy, kept, held, bytesBefore, bytesAfter, times, notes, tokens } = kvjudge;
  const { cachedTokens, promptTokens, promptMs, predictedTokens, predictedMs } = timings;
  return {
    kvjudge: {
      policy,
      kept,
      held,
      bytes_before: bytesBefore,
      bytes_after: bytesAfter,
      times,
      ...(notes.length > 0 ? { notes } : {}),
      ...(tokens ? { tokens } : {}),
    },
    timings: {
      cache_n: cachedTokens,
      prompt_n: promptTokens,
      prompt_ms: promptMs,
      prompt_per_second: perSecond(promptTokens, promptMs),
      predicted_n: predictedTokens,
      predicted_ms: predictedMs,
      predicted_per_second: perSecond(predictedTokens, predictedMs),
    },
  };
}

function perSecond(tokens: number, ms: number): number {
  return ms > 0 ? tokens / ms * 1000 : 0;
}
