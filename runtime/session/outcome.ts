import type { Policy } from "../../policies/policy.ts";
import type { Budget } from "../evict/budget.ts";
import type { Reading } from "../evict/read.ts";
import type { SavedCacheInfo } from "./saved/info.ts";
import type { Judge } from "./saved/record.ts";

/** What reading came to: a part of what a session holds, so that it is rolled back with it. */
export interface Outcome {
  readonly promptTokens: number;
  readonly kept: readonly (readonly number[])[];
  readonly bytes: { readonly before: number; readonly after: number };
  /** What evicted last, if anything was evicted. */
  readonly judge?: Judge;
  /**
   * Why nothing was evicted where a policy might have: the budget covers all, what is protected is all,
   * or every layer of the model slides.
   */
  readonly uncut: "covered" | "protected" | "sliding" | undefined;
}

/** What nothing was read into. */
export const NO_OUTCOME: Outcome = {
  promptTokens: 0,
  kept: [],
  bytes: { before: 0, after: 0 },
  uncut: undefined,
};

/**
 * What reading came to.
 *
 * @param before What was read before it.
 * @param tokens Tokens of all of it.
 * @param kept What each KV head of each layer holds.
 * @param judge What evicted, if anything was evicted.
 * @param uncut Why nothing was, if nothing was.
 */
export function outcomeOf(
  before: Outcome,
  { bytes }: Pick<Reading, "bytes">,
  tokens: number,
  { kept, judge = before.judge, uncut }: {
    readonly kept: Outcome["kept"];
    readonly judge?: Judge | undefined;
    readonly uncut: Outcome["uncut"];
  },
): Outcome {
  return {
    promptTokens: tokens,
    kept,
    bytes,
    ...(judge ? { judge } : {}),
    uncut: judge === undefined ? uncut : undefined,
  };
}

/** What came from a file instead of being read. */
export function loadedOutcome({ kept, tokens, record }: SavedCacheInfo, bytes: number): Outcome {
  const judge = record.policy.evicted ? { judge: record.policy } : {};
  return {
    promptTokens: tokens,
    kept,
    bytes: { before: bytes, after: bytes },
    uncut: undefined,
    ...judge,
  };
}

/** What a policy's eviction is remembered as. */
export function judgeOf(
  { name, options = {}, evidence: { kind } }: Policy,
  budget: Budget,
  evicted: boolean,
): Judge {
  const judgedByQueries = kind !== "none" && kind !== "statistics";
  return { name, options, budget, evicted, judgedByQueries };
}
