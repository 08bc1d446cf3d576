/**
 * What the bench asks of an engine. Every engine lives in a process of its own and answers one line
 * of JSON with one line of JSON, so that rounds interleave without loading anything twice.
 *
 * @module
 */

/** One prompt read and some tokens generated greedily after it. */
export interface MeasureCommand {
  readonly do: "measure";
  /** The prompt. */
  readonly ids: readonly number[];
  /** Tokens to decode after the first, which comes with the prompt. */
  readonly steps: number;
  /** Name of the eviction policy, kvjudge only. Absent: the full cache. */
  readonly policy?: string;
  /** Tokens kept per KV head, with `policy`. */
  readonly budget?: number;
}

/** Logits of the positions from `from` on, written to a file as float32 `[ids.length - from, vocabulary]`. */
export interface LogitsCommand {
  readonly do: "logits";
  readonly ids: readonly number[];
  readonly from: number;
  readonly file: string;
}

/** What {@linkcode MeasureCommand} yields. Times in milliseconds. */
export interface Measurement {
  /** From the prompt to the first token, without `evictMs`. */
  readonly prefillMs: number;
  /** For all steps together. */
  readonly decodeMs: number;
  /** Evidence, scores, selection and compaction. */
  readonly evictMs?: number;
  /** Cache bytes before and after eviction, and what the kept entries need. */
  readonly cacheBytes?: { readonly before: number; readonly after: number; readonly kept: number };
}

/** A measurement and how much others disturbed it. */
export interface Observed<T> {
  readonly value: T;
  /** Share of the machine's processor time that other processes took meanwhile, 0 to 1. */
  readonly foreignLoad: number;
}

/** An answer: a value, or the reason why there is none. */
export type Reply<T = unknown> =
  | ({ readonly ok: true } & Observed<T>)
  | { readonly ok: false; readonly error: string };
