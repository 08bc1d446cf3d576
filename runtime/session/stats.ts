import type { Policy } from "../../policies/policy.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import type { State } from "./state.ts";
import { notesOf, type PhaseTimes, type Tally } from "./tally.ts";

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
  /** Windows of the layers, null for a global one; absent where none slides. */
  readonly windows?: readonly (number | null)[];
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
  readonly times: PhaseTimes;
  /** Decoding steps: one fewer than an answer's tokens, as the prompt gives the first. */
  readonly steps: number;
  /** Evictions while text was read, but for those behind all of it. */
  readonly readEvictions: number;
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

/**
 * What a session did and holds.
 *
 * @param copies Bytes of the copies that marks keep; absent where the session is closed.
 */
export function statsOf(
  policy: Policy,
  { ids, pending, outcome, sequence: { cache } }: State,
  tally: Tally,
  copies: number | undefined,
): SessionStats {
  const closed = copies === undefined;
  const rerotations = tally.rerotated?.times ?? 0;
  return {
    policy: policy.name,
    promptTokens: outcome.promptTokens,
    prefilled: tally.prefilled,
    tokens: ids.length + pending.length,
    kept: outcome.kept,
    ...(closed ? {} : windowsOf(cache)),
    held: closed ? [] : heldPerHead(cache),
    bytes: { ...outcome.bytes, now: closed ? 0 : cache.bytes + copies },
    times: { ...tally.times },
    steps: tally.steps,
    readEvictions: tally.readEvictions,
    decodeEvictions: tally.decodeEvictions,
    rerotations,
    turns: rerotations,
    notes: notesOf(outcome, tally),
  };
}

/** The windows of a cache that has some. */
export function windowsOf(
  cache: Pick<KvCache, "layers" | "window">,
): { readonly windows?: readonly (number | null)[] } {
  const windows = Array.from({ length: cache.layers }, (_, layer) => cache.window(layer) ?? null);
  return windows.some((window) => window !== null) ? { windows } : {};
}

function heldPerHead(cache: KvCache): readonly number[] {
  return Array.from(
    { length: cache.layers },
    (_, layer) => cache.lengths(layer).reduce((sum, one) => sum + one, 0) / cache.kvHeads,
  );
}
