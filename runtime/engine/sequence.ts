import type { CacheMark, KvCache } from "../cache/kv_cache.ts";
import type { PositionMap } from "../rotary/position_map.ts";

/** A cache and where its text goes on. */
export interface Sequence<Cache extends KvCache = KvCache> {
  /** Keys and values so far. */
  readonly cache: Cache;
  /** Position of the next token: eviction leaves it as it is, rerotating keys sets it back. */
  position: number;
  /** Tokens that dynamic RoPE scaling reckons with: the whole prompt, then what follows. */
  planned: number;
  /** Where the text's tokens are, since keys were rerotated to other positions. */
  positionMap?: PositionMap | undefined;
}

/** The next token of a sequence that holds some already. */
export interface NextToken {
  /** What it goes on. */
  readonly sequence: Sequence;
  /** Token id. */
  readonly id: number;
}

/** A sequence over a cache that holds nothing. */
export function emptySequence<Cache extends KvCache>(cache: Cache): Sequence<Cache> {
  return { cache, position: 0, planned: 0 };
}

/** Where a sequence stood. */
export interface SequenceMark {
  readonly cache: CacheMark;
  readonly position: number;
  readonly planned: number;
}

/** Remembers where a sequence stands. Costs no memory. */
export function markSequence({ cache, position, planned }: Sequence): SequenceMark {
  return { cache: cache.mark(), position, planned };
}

/** Takes what was read since a mark out of a sequence again. Nothing may have been evicted since. */
export function rollbackSequence(sequence: Sequence, mark: SequenceMark): void {
  sequence.cache.rollback(mark.cache);
  sequence.position = mark.position;
  sequence.planned = mark.planned;
}

/** Where a sequence stood, however long it becomes: disposing forgets it. */
export interface HeldMark extends SequenceMark, Disposable {}

/**
 * As {@linkcode markSequence}, for a sequence that may go on for longer than its sliding layers remember:
 * they put aside what the mark needs.
 *
 * @param ago Tokens before the last one.
 */
export function holdSequence(sequence: Sequence, ago = 0): HeldMark {
  const mark = markBefore(sequence, ago);
  const hold = sequence.cache.hold(mark.cache);
  return { ...mark, [Symbol.dispose]: () => hold[Symbol.dispose]() };
}

/** The mark of a sequence some tokens ago. */
export function markBefore({ cache, position, planned }: Sequence, tokens: number): SequenceMark {
  const lengths = cache.mark().lengths.map((length) => length - tokens);
  return { cache: { lengths }, position: position - tokens, planned };
}
