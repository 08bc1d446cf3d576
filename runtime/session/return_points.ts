import { beginning, reachOf } from "../engine/go_back.ts";
import {
  type HeldMark,
  holdSequence,
  type Sequence,
  type SequenceMark,
} from "../engine/sequence.ts";

/**
 * Moments that a state's sequence can be taken back to however long it becomes, where it has layers that
 * slide. What lies between them and where it is to go back to is read again.
 */
export interface ReturnPoints {
  /** Where the tail begins, once something was evicted. */
  readonly start?: HeldMark | undefined;
  /** Shortly before the answer: chat templates write answers otherwise in the next turn. */
  readonly answer?: HeldMark | undefined;
}

/** What of a session's state its points are about. */
export interface PointedState {
  readonly sequence: Sequence;
  readonly ids: readonly number[];
  readonly tail: number;
  points: ReturnPoints;
}

/** Tokens before an answer that a chat template may write otherwise in the next turn. */
const TURN_END = 16;

/** The points that a state has, its beginning among them as long as nothing was evicted. */
export function pointsOf({ points, sequence, ids, tail }: PointedState): readonly SequenceMark[] {
  const { start, answer } = points;
  const whole = tail === ids.length && sequence.position === tail;
  const begin = whole ? [beginning(sequence)] : [];
  return [...begin, ...(start ? [start] : []), ...(answer ? [answer] : [])];
}

/** Forgets the points of a state; where an eviction has just begun a tail, that is held. */
export function beginTail(state: PointedState, held: boolean): void {
  releasePoints(state);
  state.points = held ? { start: holdSequence(state.sequence) } : {};
}

/** Remembers where an answer begins. */
export function beginAnswer(state: PointedState): void {
  const { sequence, points, tail } = state;
  points.answer?.[Symbol.dispose]();
  const back = reachOf(sequence, Math.min(TURN_END, tail), []);
  const near = points.start && sequence.position - points.start.position <= back;
  state.points = { ...points, answer: near ? undefined : holdSequence(sequence, back) };
}

/** The same points of a copy of the sequence, which lives on by itself. */
export function pointsIn({ start, answer }: ReturnPoints, sequence: Sequence): ReturnPoints {
  return {
    start: start && heldIn(start, sequence),
    answer: answer && heldIn(answer, sequence),
  };
}

function heldIn(point: HeldMark, { cache }: Sequence): HeldMark | undefined {
  if (!cache.canRollBack(point.cache)) return undefined;
  const hold = cache.hold(point.cache);
  return { ...point, [Symbol.dispose]: () => hold[Symbol.dispose]() };
}

/** Points whose keys were rotated on by a distance. */
export function movedPoints({ start, answer }: ReturnPoints, distance: number): ReturnPoints {
  const moved = (point: HeldMark) => ({ ...point, position: point.position + distance });
  return { start: start && moved(start), answer: answer && moved(answer) };
}

/** Forgets the points of a state. */
export function releasePoints(
  { points: { start, answer } }: Pick<PointedState, "points">,
): void {
  start?.[Symbol.dispose]();
  answer?.[Symbol.dispose]();
}
