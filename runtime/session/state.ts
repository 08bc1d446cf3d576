import type { Engine } from "../engine/engine.ts";
import { goBack } from "../engine/go_back.ts";
import { emptySequence, type Sequence, type SequenceMark } from "../engine/sequence.ts";
import type { TokenSpan } from "../evict/pinned.ts";
import { type AttentionSums, freeSums, sharedSums } from "../evidence/accumulated.ts";
import { NO_OUTCOME, type Outcome } from "./outcome.ts";
import { pointsIn, pointsOf, releasePoints, type ReturnPoints } from "./return_points.ts";
import type { Transcript } from "./transcript.ts";

/** What a session holds. All of it together says how its text goes on. */
export interface State {
  /** The cache, and the position of what follows. */
  sequence: Sequence;
  /** Tokens that went into the cache, in order, evicted ones too. */
  ids: number[];
  /** Tokens that follow them and are not in the cache yet, such as the last one of an answer. */
  pending: readonly number[];
  /** Logits of the last token in the cache, where nothing is pending. */
  logits: Float32Array | undefined;
  /** Tokens at the end of the cache that no eviction has touched: the same ones in every head. */
  tail: number;
  /** Where the sequence can be taken back to. */
  points: ReturnPoints;
  /** Attention that the tokens before the tail have received, where the policy goes on to add to it. Owned. */
  attentionSums: AttentionSums | undefined;
  /** Tokens that no eviction may take. */
  pinned: readonly TokenSpan[];
  /** What the tokens are. */
  transcript: Transcript;
  /** What the model has answered since. */
  answer: string | undefined;
  /** What reading came to. */
  outcome: Outcome;
}

/** The state of a session that has read nothing. */
export function emptyState(engine: Engine): State {
  return stateOf(emptySequence(engine.newCache()));
}

/** A state that holds nothing but a sequence. */
export function stateOf(sequence: Sequence): State {
  return {
    sequence,
    ids: [],
    pending: [],
    logits: undefined,
    tail: 0,
    points: {},
    attentionSums: undefined,
    pinned: [],
    transcript: { kind: "raw" },
    answer: undefined,
    outcome: NO_OUTCOME,
  };
}

/** A copy that lives on by itself. */
export async function forkState(state: State): Promise<State> {
  const sequence = { ...state.sequence, cache: await state.sequence.cache.fork() };
  return {
    ...state,
    sequence,
    points: pointsIn(state.points, sequence),
    ids: state.ids.slice(),
    attentionSums: sharedSums(state.attentionSums),
  };
}

/**
 * Takes tokens off the end of the cache, and where windows have moved on as many more as have to be read
 * again; all of them are then pending.
 *
 * @param points Moments that it can be taken back to, beside the state's own.
 */
export function dropTail(
  state: State,
  tokens: number,
  points: readonly SequenceMark[] = [],
): void {
  if (tokens === 0) return;
  const { sequence, ids } = state;
  const left = ids.length - goBack(sequence, tokens, [...pointsOf(state), ...points]);
  state.pending = [...ids.slice(left), ...state.pending];
  state.ids = ids.slice(0, left);
  state.tail -= ids.length - left;
  state.logits = undefined;
}

/** Puts other sums in the place of a state's own, and frees those. */
export function replaceSums(state: State, sums: AttentionSums | undefined): void {
  freeSums(state.attentionSums);
  state.attentionSums = sums;
}

/** Puts another sequence in the place of a state's own, and frees the old one's cache. */
export function replaceSequence(state: State, sequence: Sequence, points: ReturnPoints): void {
  freeCache(state);
  state.sequence = sequence;
  state.points = points;
}

/** Frees the cache of a state that is not used any more, and what its tokens have received. */
export function freeCache(state: State): void {
  releasePoints(state);
  replaceSums(state, undefined);
  state.sequence.cache[Symbol.dispose]();
}
