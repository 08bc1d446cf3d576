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

/**
 * Logits behind a prompt and behind each of some tokens after it, decoded one by one and written to a
 * file as float32 `[steps + 1, vocabulary]`. Answered with the tokens.
 */
export interface FollowCommand {
  readonly do: "follow";
  /** The prompt. */
  readonly ids: readonly number[];
  /** Tokens to decode. */
  readonly steps: number;
  /** The tokens. Absent: the likeliest ones. */
  readonly path?: readonly number[];
  readonly file: string;
}

/** Several answers to one prompt, decoded together. */
export interface TogetherCommand {
  readonly do: "together";
  /** The prompt. */
  readonly ids: readonly number[];
  /** Steps, each of one token of every answer. */
  readonly steps: number;
  readonly sequences: number;
  /** Name of the eviction policy, kvjudge only. Absent: the full cache. */
  readonly policy?: string;
  /** Tokens kept per KV head, with `policy`. */
  readonly budget?: number;
}

/** What {@linkcode TogetherCommand} yields. */
export interface TogetherMeasurement {
  /** Milliseconds of all steps. */
  readonly decodeMs: number;
  /** Milliseconds of processors' time that they took: with one thread, what others do matters little. */
  readonly processorMs: number;
  /** Tokens of all answers. */
  readonly tokens: number;
}

/** What {@linkcode MeasureCommand} yields. Times in milliseconds. */
export interface Measurement {
  /** From the prompt to the logits of its last token. */
  readonly prefillMs: number;
  /** For all steps together. */
  readonly decodeMs: number;
  /** Tokens decoded after the first; fewer than asked for if the answer ended. */
  readonly steps: number;
  /** Bytes of the cache behind the prompt; of an engine that evicts, behind the eviction. */
  readonly cacheBytes: number;
  /** Absent for engines that cannot evict. */
  readonly eviction?: Eviction;
}

/** What eviction cost and freed. */
export interface Eviction {
  /** After the prompt was read: evidence, scores, selection and compaction. */
  readonly ms: number;
  /** Index of the first prompt token that was observed while it was read. */
  readonly observedFrom: number;
  /** Prompt tokens read, and the milliseconds until then. */
  readonly progress: readonly (readonly [tokens: number, ms: number])[];
  readonly bytes: {
    /** Allocated before eviction. */
    readonly before: number;
    /** Allocated after it. */
    readonly after: number;
    /** What the kept entries take. */
    readonly kept: number;
    /** Kept tokens per KV head and global layer, on average. */
    readonly entries: number;
  };
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
