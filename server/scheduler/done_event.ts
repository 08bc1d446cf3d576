import type { Policy } from "../../policies/policy.ts";
import type { Session } from "../../runtime/session/session.ts";
import type { DoneEvent } from "./events.ts";
import { keptTokens } from "./explain.ts";
import type { LoadedModel } from "./model_pool.ts";
import type { ReadPrompt } from "./read_prompt.ts";
import type { GenerationRequest } from "./request.ts";

/** 0 of none. */
export function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0) / Math.max(1, numbers.length);
}

/** What a request came to. */
export function doneEvent(
  { request, ids, cached, completionTokens, sessions, model, read, policy, first, document, times }:
    {
      readonly request: GenerationRequest;
      readonly ids: readonly number[];
      readonly cached: number;
      readonly completionTokens: number;
      readonly sessions: readonly Session[];
      readonly model: LoadedModel;
      readonly read: ReadPrompt;
      readonly policy: Policy | undefined;
      readonly first: number;
      readonly document: string | undefined;
      readonly times: { readonly queue: number; readonly read: number; readonly write: number };
    },
): DoneEvent {
  const { kept, bytes, notes } = read.session.stats();
  // Not the session's sums: those of a document count its own reading.
  const { prefill, evidence, selection, compaction } = read.reading.times;
  return {
    kind: "done",
    usage: { promptTokens: ids.length, completionTokens, cachedTokens: cached },
    kvjudge: {
      policy: document ?? policy?.name ?? "full",
      kept: mean(kept.flat()),
      held: mean(sessions.flatMap((session) => session.stats().held)),
      bytesBefore: bytes.before,
      bytesAfter: bytes.after,
      times: { queue: times.queue, prefill, evidence, selection, compaction, decode: times.write },
      notes,
      ...(request.explain && document === undefined
        ? { tokens: keptTokens(model.model.tokenizer, ids, read.reading) }
        : {}),
    },
    timings: {
      cachedTokens: cached,
      promptTokens: ids.length - cached,
      promptMs: times.read,
      predictedTokens: first,
      predictedMs: times.write,
    },
  };
}
