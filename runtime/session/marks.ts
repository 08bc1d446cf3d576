import type { KvCache } from "../cache/kv_cache.ts";
import type { PositionMap } from "../rotary/position_map.ts";
import { PromptError } from "../errors.ts";
import { commonPrefix } from "../tokenizer/prompt.ts";
import { dropTail, replaceSequence, type State } from "./state.ts";

/** A moment that a session can be rolled back to. */
export interface SessionMark extends Disposable {
  /** Tokens read and answered at that moment. */
  readonly tokens: number;
  /** Forgets the moment: an eviction need not keep a copy for it any more. */
  [Symbol.dispose](): void;
}

interface Moment {
  readonly state: Omit<State, "sequence">;
  readonly planned: number;
  /** Which eviction was the last one. */
  readonly epoch: number;
}

/** The cache as it was before an eviction. */
interface Copy {
  readonly cache: KvCache;
  readonly ids: number[];
  readonly tail: number;
  readonly positionMap: PositionMap | undefined;
}

/** The moments that a session can be rolled back to. Owns the copies that they need. */
export interface Marks extends Disposable {
  /** Bytes of the copies that evictions left for marks. */
  readonly bytes: number;
  /** Takes a mark. It costs no memory until something is evicted. */
  take(state: State): SessionMark;
  /**
   * Brings a state back. The mark stays good, marks that were taken after it do not.
   *
   * @throws {PromptError} If the mark is not one of these, or not good any more.
   */
  restore(mark: SessionMark, state: State): void;
  /** To be called before an eviction: copies the cache if a mark needs it as it is. */
  beforeEviction(state: State, lengths: readonly number[]): Promise<void>;
  /** Forgets every mark. */
  clear(): void;
}

/** Makes the marks of a session. */
export function createMarks(): Marks {
  const moments = new Map<SessionMark, Moment>();
  const copies = new Map<number, Copy>();
  let epoch = 0;
  let epochs = 0;

  const releaseUnneeded = () => {
    const needed = new Set([...moments.values()].map((moment) => moment.epoch));
    for (const [of, { cache }] of copies) {
      if (needed.has(of)) continue;
      cache[Symbol.dispose]();
      copies.delete(of);
    }
  };
  const forget = (mark: SessionMark) => {
    moments.delete(mark);
    releaseUnneeded();
  };
  const clear = () => {
    moments.clear();
    releaseUnneeded();
    epoch = ++epochs;
  };
  return {
    get bytes() {
      return [...copies.values()].reduce((sum, { cache }) => sum + cache.bytes, 0);
    },
    take(state) {
      const { sequence, ...rest } = state;
      const mark: SessionMark = {
        tokens: state.ids.length + state.pending.length,
        [Symbol.dispose]: () => forget(mark),
      };
      const copied = { ...rest, ids: rest.ids.slice() };
      moments.set(mark, { state: copied, planned: sequence.planned, epoch });
      return mark;
    },
    restore(mark, state) {
      const moment = moments.get(mark);
      if (!moment) {
        throw new PromptError(
          "Cannot roll back: the mark is not one of this session, was disposed of, or was taken " +
            "after a moment that the session has been rolled back to",
        );
      }
      let later = false;
      for (const other of [...moments.keys()]) {
        if (later) moments.delete(other);
        if (other === mark) later = true;
      }
      if (moment.epoch !== epoch) {
        const copy = copies.get(moment.epoch);
        if (!copy) throw new Error("an eviction did not copy the cache for its marks");
        copies.delete(moment.epoch);
        const { cache, ids, tail, positionMap } = copy;
        const position = ids.length - (positionMap?.shift ?? 0);
        replaceSequence(state, { cache, position, planned: moment.planned, positionMap });
        state.ids = ids;
        state.tail = tail;
        epoch = moment.epoch;
      }
      releaseUnneeded();
      const same = commonPrefix(state.ids, moment.state.ids);
      dropTail(state, state.ids.length - same);
      const { ids, pending, logits, attentionSums, pinned, transcript, answer, outcome } =
        moment.state;
      state.pending = [...ids.slice(same), ...pending];
      state.logits = same === ids.length ? logits : undefined;
      state.attentionSums = attentionSums;
      state.pinned = pinned;
      state.transcript = transcript;
      state.answer = answer;
      state.outcome = outcome;
      state.sequence.planned = moment.planned;
    },
    async beforeEviction(state, lengths) {
      if ([...moments.values()].some((moment) => moment.epoch === epoch)) {
        const cache = await state.sequence.cache.fork({ lengths });
        const { ids, tail, sequence: { positionMap } } = state;
        copies.set(epoch, { cache, ids: ids.slice(), tail, positionMap });
      }
      epoch = ++epochs;
    },
    clear,
    [Symbol.dispose]: clear,
  };
}
