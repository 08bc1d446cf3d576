import type { Token } from "./token.ts";

/**
 * What happens to a request, in this order: `accepted`, `reading` (several, perhaps none), `prompt`
 * where it was asked for, `token` and `end` of each answer, `done`.
 */
export type GenerationEvent =
  /** It is in order, and waits. */
  | { readonly kind: "accepted"; readonly promptTokens: number }
  /** So many of the prompt's tokens are read; `cached` of them were read before. */
  | {
    readonly kind: "reading";
    readonly done: number;
    readonly total: number;
    readonly cached: number;
  }
  /** The prompt's own tokens; the first one has no log probability. */
  | { readonly kind: "prompt"; readonly tokens: readonly ScoredToken[] }
  | TokenEvent
  /** An answer is whole. */
  | {
    readonly kind: "end";
    readonly choice: number;
    /** Text that was held back, for a stop text or a character that might have come. */
    readonly text: string;
    readonly finishReason: "stop" | "length";
    /** The stop text that ended it. */
    readonly stopText?: string;
  }
  | DoneEvent;

/** A token of an answer. Tokens that end an answer, and those of a stop text, give no event. */
export interface TokenEvent extends ScoredToken {
  readonly kind: "token";
  /** Which answer, from 0. */
  readonly choice: number;
  /**
   * The answer's text that has become final: never half a character, never the beginning of a stop
   * text, so it may be empty, and hold the ends of tokens before.
   */
  readonly text: string;
}

/** A token, and how likely it was. */
export interface ScoredToken extends Token {
  /** Natural logarithm, where `logprobs` was asked for; before temperature and filters. */
  readonly logprob?: number;
  /** The most likely tokens there, best first. */
  readonly top?: readonly (Token & { readonly logprob: number })[];
}

/** All answers are whole. */
export interface DoneEvent {
  readonly kind: "done";
  readonly usage: Usage;
  readonly kvjudge: EvictionReport;
  readonly timings: Timings;
}

/** Tokens, all answers together; the prompt counts once. */
export interface Usage {
  readonly promptTokens: number;
  /** Those that ended an answer count too. */
  readonly completionTokens: number;
  /** Prompt tokens that had been read before, a document's too. */
  readonly cachedTokens: number;
}

/** What eviction did. */
export interface EvictionReport {
  /** The policy's name; `full` where nothing was to be evicted. */
  readonly policy: string;
  /** Prompt tokens kept, mean over layers and KV heads. */
  readonly kept: number;
  /** Tokens held at the end, prompt and answer, mean over layers and KV heads. */
  readonly held: number;
  /** Bytes of the cache before and after the prompt's eviction. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Milliseconds. */
  readonly times: {
    readonly queue: number;
    readonly prefill: number;
    readonly evidence: number;
    readonly selection: number;
    readonly compaction: number;
    readonly decode: number;
  };
  /** What a user may have expected otherwise. */
  readonly notes: readonly string[];
  /** Where `explain` was asked for: each prompt token, and the share of heads that kept it (0 to 1). */
  readonly tokens?: readonly { readonly text: string; readonly kept: number }[];
}

/** Of the first answer's point of view: tokens that were cached, read and written, and milliseconds. */
export interface Timings {
  readonly cachedTokens: number;
  readonly promptTokens: number;
  readonly promptMs: number;
  readonly predictedTokens: number;
  readonly predictedMs: number;
}
