import type { Policy } from "../../policies/policy.ts";
import type { Budget } from "../evict/budget.ts";
import type { Reading, ReadTimes } from "../evict/read.ts";
import type { SavedCacheInfo } from "./saved/info.ts";
import type { Judge } from "./saved/record.ts";

/** What a session did, in tokens, bytes and milliseconds, since it began to read or was loaded. */
export interface SessionStats {
  /** Name of the policy. */
  readonly policy: string;
  /** Tokens read, and answered in between, when something was read last: what `kept` is kept of. */
  readonly promptTokens: number;
  /** Tokens that the model has read as text, those of questions and of other sessions' forks too. */
  readonly prefilled: number;
  /** Tokens read and answered so far, evicted ones too. */
  readonly tokens: number;
  /** Kept tokens, `[layer][KV head]`, when something was read or loaded last. */
  readonly kept: readonly (readonly number[])[];
  /**
   * Tokens that each layer holds now, per KV head: their mean, where the heads hold different numbers
   * of tokens.
   */
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
  /** Evictions while answers were written; their time is part of the phases', not of decoding. */
  readonly decodeEvictions: number;
  /** Times that keys were rerotated to positions without gaps, as the model's context was full. */
  readonly rerotations: number;
  /**
   * The same as {@linkcode SessionStats.rerotations}.
   *
   * @deprecated Use `rerotations`; goes in 0.3.
   */
  readonly turns: number;
  /** What a user may have expected otherwise, such as a budget above the prompt. */
  readonly notes: readonly string[];
}

/** What reading came to: a part of what a session holds, so that it is rolled back with it. */
export interface Outcome {
  readonly promptTokens: number;
  readonly kept: readonly (readonly number[])[];
  readonly bytes: { readonly before: number; readonly after: number };
  /** What evicted last, if anything was evicted. */
  readonly judge?: Judge;
  /** Whether a policy might have evicted something, and nothing was. */
  readonly uncut: boolean;
}

/** What nothing was read into. */
export const NO_OUTCOME: Outcome = {
  promptTokens: 0,
  kept: [],
  bytes: { before: 0, after: 0 },
  uncut: false,
};

/** What is counted while a session works, whatever is rolled back. */
export interface Tally {
  prefilled: number;
  times: { -readonly [Phase in keyof SessionStats["times"]]: number };
  steps: number;
  decodeEvictions: number;
  /** How often keys were rerotated, and how many tokens the text had when they were last. */
  rerotated?: { readonly times: number; readonly at: number };
  /** What policies without a kernel were shown off a device. */
  readonly copied: Map<string, number>;
  readonly notes: Set<string>;
}

/** Nothing counted yet. */
export function newTally(): Tally {
  return {
    prefilled: 0,
    times: { prefill: 0, evidence: 0, selection: 0, compaction: 0, decode: 0 },
    steps: 0,
    decodeEvictions: 0,
    copied: new Map(),
    notes: new Set(),
  };
}

/** A tally that is counted on by itself. */
export function forkTally(tally: Tally): Tally {
  return {
    ...tally,
    times: { ...tally.times },
    copied: new Map(tally.copied),
    notes: new Set(tally.notes),
  };
}

/** All notes that hold now. */
export function notesOf(
  { uncut, promptTokens }: Outcome,
  { notes, copied, rerotated }: Tally,
): string[] {
  const covered = uncut
    ? [`nothing was evicted: the budget covers the prompt's ${promptTokens} tokens`]
    : [];
  const moved = rerotated
    ? [
      `the model's context was full ${
        rerotated.times === 1 ? "once" : `${rerotated.times} times`
      }: what ` +
      `was kept was rerotated to positions without gaps, last at token ${rerotated.at}`,
    ]
    : [];
  const shown = [...copied].map(([name, bytes]) =>
    `${name} has no kernel for all that it computes: ${bytes} bytes of its arrays were copied from ` +
    "the device to main memory"
  );
  return [...covered, ...moved, ...shown, ...notes];
}

/** Counts what was read, and notes whether untrained soft tokens judged. */
export function countReading(tally: Tally, reading: Reading, policy: Policy): void {
  tally.prefilled += reading.tokens;
  countPhases(tally, reading, policy);
}

/** Counts an eviction while an answer is written: what is read again for it is evidence. */
export function countDecodeEviction(tally: Tally, reading: Reading, policy: Policy): void {
  const { times: { prefill, evidence, ...times } } = reading;
  tally.decodeEvictions++;
  countPhases(
    tally,
    { ...reading, times: { ...times, prefill: 0, evidence: prefill + evidence } },
    policy,
  );
}

function countPhases(tally: Tally, { times, softTokens, copied }: Reading, policy: Policy): void {
  if (copied > 0) tally.copied.set(policy.name, (tally.copied.get(policy.name) ?? 0) + copied);
  for (const [phase, time] of Object.entries(times)) tally.times[phase as keyof ReadTimes] += time;
  if (softTokens?.trained !== false) return;
  const { note } = softTokens;
  tally.notes.add(`${policy.name} ran with untrained soft tokens${note ? `: ${note}` : ""}`);
}

/**
 * What reading came to.
 *
 * @param before What was read before it.
 * @param tokens Tokens of all of it.
 * @param judge What evicted, if anything was evicted.
 */
export function outcomeOf(
  before: Outcome,
  { kept, bytes }: Reading,
  tokens: number,
  { judge = before.judge, evicts }: {
    readonly judge?: Judge | undefined;
    readonly evicts: boolean;
  },
): Outcome {
  return {
    promptTokens: tokens,
    kept: kept.map((heads) => heads.map(({ length }) => length)),
    bytes,
    ...(judge ? { judge } : {}),
    uncut: evicts && judge === undefined,
  };
}

/** What came from a file instead of being read. */
export function loadedOutcome({ kept, tokens, record }: SavedCacheInfo, bytes: number): Outcome {
  const judge = record.policy.evicted ? { judge: record.policy } : {};
  return {
    promptTokens: tokens,
    kept,
    bytes: { before: bytes, after: bytes },
    uncut: false,
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

/** Notes that something was evicted without a look at the question that is asked now. */
export function noteUnseenQuestion({ judge }: Outcome, { notes }: Tally): void {
  if (!judge?.judgedByQueries) return;
  notes.add(
    `${judge.name} evicted before the question was known, judging by the end of what had been ` +
      "read: what the answer needs may be gone; a prompt that ends with its question is judged by it",
  );
}
