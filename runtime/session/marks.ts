import type { NarrowPrecision } from "../cache/narrow_rows.ts";
import {
  type HeldMark,
  holdSequence,
  type Sequence,
  type SequenceMark,
} from "../engine/sequence.ts";
import { PromptError } from "../errors.ts";
import { freeSums, sharedSums } from "../evidence/accumulated.ts";
import { commonPrefix } from "../tokenizer/prompt.ts";
import { pointsIn, type ReturnPoints } from "./return_points.ts";
import { dropTail, replaceSequence, replaceSums, type State } from "./state.ts";

/** A moment that a session can be rolled back to. */
export interface SessionMark extends Disposable {
  /** Tokens read and answered at that moment. */
  readonly tokens: number;
  /** Forgets the moment: an eviction need not keep a copy for it any more. */
  [Symbol.dispose](): void;
}

interface Moment {
  readonly state: Omit<State, "sequence" | "points">;
  readonly planned: number;
  /** Which eviction was the last one. */
  readonly epoch: number;
  /** The cache then, or where it last had what it had then. */
  at: HeldMark;
}

/** The cache as it was before an eviction. */
interface Copy {
  readonly sequence: Sequence;
  readonly points: ReturnPoints;
  readonly ids: number[];
  readonly tail: number;
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
  /** To be called when tokens were dropped, and others will take their places. */
  dropped(state: State): void;
  /**
   * To be called before an eviction: copies the cache if a mark needs it as it is.
   *
   * @param at The state's last moment before what is being read.
   */
  beforeEviction(state: State, at: SequenceMark): Promise<void>;
  /** Rounds the copies, until they are needed. */
  rest(precision: NarrowPrecision): void;
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
    for (const [of, { sequence: { cache } }] of copies) {
      if (needed.has(of)) continue;
      cache[Symbol.dispose]();
      copies.delete(of);
    }
  };
  const forgetAll = (marks: readonly SessionMark[]) => {
    for (const mark of marks) {
      const moment = moments.get(mark);
      moment?.at[Symbol.dispose]();
      freeSums(moment?.state.attentionSums);
      moments.delete(mark);
    }
    releaseUnneeded();
  };
  const clear = () => {
    forgetAll([...moments.keys()]);
    epoch = ++epochs;
  };
  return {
    get bytes() {
      return [...copies.values()].reduce((sum, { sequence }) => sum + sequence.cache.bytes, 0);
    },
    take(state) {
      const { sequence, points: _, ...rest } = state;
      const mark: SessionMark = {
        tokens: state.ids.length + state.pending.length,
        [Symbol.dispose]: () => forgetAll([mark]),
      };
      const attentionSums = sharedSums(rest.attentionSums);
      const copied = { ...rest, ids: rest.ids.slice(), attentionSums };
      const { planned } = sequence;
      moments.set(mark, { state: copied, planned, epoch, at: holdSequence(sequence) });
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
      const all = [...moments.keys()];
      forgetAll(all.slice(all.indexOf(mark) + 1));
      if (moment.epoch !== epoch) {
        const copy = copies.get(moment.epoch);
        if (!copy) throw new Error("an eviction did not copy the cache for its marks");
        copies.delete(moment.epoch);
        replaceSequence(state, copy.sequence, copy.points);
        state.ids = copy.ids;
        state.tail = copy.tail;
        epoch = moment.epoch;
      }
      releaseUnneeded();
      dropTail(state, state.ids.length - commonPrefix(state.ids, moment.state.ids), [moment.at]);
      const same = state.ids.length;
      const { ids, pending, logits, attentionSums, pinned, transcript, answer, outcome } =
        moment.state;
      state.pending = [...ids.slice(same), ...pending];
      state.logits = same === ids.length ? logits : undefined;
      replaceSums(state, sharedSums(attentionSums));
      state.pinned = pinned;
      state.transcript = transcript;
      state.answer = answer;
      state.outcome = outcome;
      state.sequence.planned = moment.planned;
    },
    dropped({ sequence }) {
      for (const moment of moments.values()) {
        if (moment.epoch !== epoch || moment.at.position <= sequence.position) continue;
        moment.at[Symbol.dispose]();
        moment.at = holdSequence(sequence);
      }
    },
    async beforeEviction(state, at) {
      if ([...moments.values()].some((moment) => moment.epoch === epoch)) {
        const { ids, tail, points, sequence: { cache, positionMap } } = state;
        const { position, planned } = at;
        const sequence = { cache: await cache.fork(at.cache), position, planned, positionMap };
        const kept = pointsIn(points, sequence);
        copies.set(epoch, { sequence, points: kept, ids: ids.slice(), tail });
      }
      epoch = ++epochs;
    },
    rest(precision) {
      for (const { sequence } of copies.values()) sequence.cache.rest(precision);
    },
    clear,
    [Symbol.dispose]: clear,
  };
}
