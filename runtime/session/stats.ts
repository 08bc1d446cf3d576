import type { Policy } from "../../policies/policy.ts";
import type { Budget } from "../budget.ts";
import type { Reading, ReadTimes } from "../engine/read.ts";
import type { SavedCacheInfo } from "../saved_cache_file.ts";
import type { Judge } from "../saved_cache_record.ts";

/** What a session did, in tokens, bytes and milliseconds, since it began to read or was loaded. */
export interface SessionStats {
  /** Name of the policy. */
  readonly policy: string;
  /** Tokens of the prompt and of what was appended to it; questions that were rolled back are not. */
  readonly promptTokens: number;
  /** Tokens that the model has read as text, those of questions and of other sessions' forks too. */
  readonly prefilled: number;
  /** Tokens read and answered so far: the position of the next one. */
  readonly tokens: number;
  /** Kept tokens, `[layer][KV head]`, when something was read or loaded last. */
  readonly kept: readonly (readonly number[])[];
  /** Tokens that each layer holds now, the same number in each of its KV heads. */
  readonly held: readonly number[];
  /**
   * Allocated bytes: of the cache before and after what was read last was evicted, and now, with the
   * copies that marks keep.
   */
  readonly bytes: { readonly before: number; readonly after: number; readonly now: number };
  /** Milliseconds of each phase, all in all. */
  readonly times: ReadTimes & { readonly decode: number };
  /** Decoding steps: one fewer than an answer's tokens, as the prompt gives the first. */
  readonly steps: number;
  /** What a user may have expected otherwise, such as a budget above the prompt. */
  readonly notes: readonly string[];
}

/** What is counted while a session works. */
export interface Tally {
  promptTokens: number;
  prefilled: number;
  kept: readonly (readonly number[])[];
  bytes: { readonly before: number; readonly after: number };
  times: { -readonly [Phase in keyof SessionStats["times"]]: number };
  steps: number;
  readonly notes: Set<string>;
  /** Tokens of all that was read while nothing was evicted. */
  uncut: number | undefined;
  /** What evicted last, if anything was evicted. */
  judge: Judge | undefined;
}

/** Nothing counted yet. */
export function newTally(): Tally {
  return {
    promptTokens: 0,
    prefilled: 0,
    kept: [],
    bytes: { before: 0, after: 0 },
    times: { prefill: 0, evidence: 0, selection: 0, compaction: 0, decode: 0 },
    steps: 0,
    notes: new Set(),
    uncut: undefined,
    judge: undefined,
  };
}

/** A tally that is counted on by itself. */
export function forkTally(tally: Tally): Tally {
  return { ...tally, times: { ...tally.times }, notes: new Set(tally.notes) };
}

/** All notes that hold now. */
export function notesOf({ uncut, notes }: Tally): string[] {
  const covered = uncut === undefined
    ? []
    : [`nothing was evicted: the budget covers the prompt's ${uncut} tokens`];
  return [...covered, ...notes];
}

/** Counts what was read. */
export function countReading(
  tally: Tally,
  reading: Reading,
  judge: Judge | undefined,
): void {
  const { tokens, kept, bytes, times } = reading;
  tally.promptTokens += tokens;
  tally.prefilled += tokens;
  tally.kept = kept.map((heads) => heads.map(({ length }) => length));
  tally.bytes = bytes;
  tally.judge = judge ?? tally.judge;
  for (const [phase, time] of Object.entries(times)) {
    const name = phase as keyof ReadTimes;
    tally.times[name] += time;
  }
}

/** Counts what came from a file instead of being read. */
export function countLoaded(tally: Tally, { kept, tokens, record }: SavedCacheInfo, bytes: number) {
  const judge = record.policy.evicted ? record.policy : undefined;
  const counted = { kept, promptTokens: tokens, bytes: { before: bytes, after: bytes } };
  Object.assign(tally, { ...counted, judge });
}

/** Notes on what was read last, if nothing was evicted or untrained soft tokens judged. */
export function noteReading(tally: Tally, reading: Reading, policy: Policy): void {
  if (policy.evicts === false) return;
  tally.uncut = tally.judge ? undefined : tally.promptTokens;
  const { softTokens } = reading;
  if (softTokens?.trained === false) {
    const { note } = softTokens;
    tally.notes.add(`${policy.name} ran with untrained soft tokens${note ? `: ${note}` : ""}`);
  }
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

/** Notes that something was evicted without a look at the question that is asked now. */
export function noteUnseenQuestion({ judge, notes }: Tally): void {
  if (!judge?.judgedByQueries) return;
  notes.add(
    `${judge.name} evicted before the question was known, judging by the end of what had been ` +
      "read: what the answer needs may be gone; a prompt that ends with its question is judged by it",
  );
}
