import type { Policy } from "../../policies/policy.ts";
import type { Reading, ReadTimes } from "../evict/read.ts";
import type { Outcome } from "./outcome.ts";

/** Milliseconds of each phase, all in all. */
export type PhaseTimes = ReadTimes & { readonly decode: number };

/** What is counted while a session works, whatever is rolled back. */
export interface Tally {
  prefilled: number;
  times: { -readonly [Phase in keyof PhaseTimes]: number };
  steps: number;
  readEvictions: number;
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
    readEvictions: 0,
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

/** Why nothing was evicted. */
const UNCUT = {
  covered: (tokens: number) =>
    `nothing was evicted: the budget covers the prompt's ${tokens} tokens`,
  protected: (tokens: number) =>
    `nothing was evicted: what the policy and the session always keep is all of the prompt's ${tokens} ` +
    "tokens",
  sliding: () =>
    "nothing was evicted: every layer of this model slides and keeps its window alone, so there is " +
    "nothing to evict",
} as const;

/** All notes that hold now. */
export function notesOf(
  { uncut, promptTokens }: Outcome,
  { notes, copied, rerotated }: Tally,
): string[] {
  const whole = uncut ? [UNCUT[uncut](promptTokens)] : [];
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
  return [...whole, ...moved, ...shown, ...notes];
}

const READ_PHASES = ["prefill", "evidence", "selection", "compaction"] as const;

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

function countPhases(tally: Tally, reading: Reading, policy: Policy): void {
  const { times, softTokens, copied, raised, bytes, note } = reading;
  if (note !== undefined) tally.notes.add(`${policy.name}: ${note}`);
  if (raised && bytes.after < bytes.before) {
    tally.notes.add(
      `the budget's ratio came to fewer tokens than ${policy.name} always keeps: those were kept`,
    );
  }
  if (copied > 0) tally.copied.set(policy.name, (tally.copied.get(policy.name) ?? 0) + copied);
  for (const phase of READ_PHASES) tally.times[phase] += times[phase];
  if (softTokens?.trained !== false) return;
  const why = softTokens.note ? `: ${softTokens.note}` : "";
  tally.notes.add(`${policy.name} ran with untrained soft tokens${why}`);
}

/** Notes that something was evicted without a look at the question that is asked now. */
export function noteUnseenQuestion({ judge }: Outcome, { notes }: Tally): void {
  if (!judge?.judgedByQueries) return;
  notes.add(
    `${judge.name} evicted before the question was known, judging by the end of what had been ` +
      "read: what the answer needs may be gone; a prompt that ends with its question is judged by it",
  );
}
