import { globalLayersOf } from "../cache/global_layers.ts";
import { DEFAULT_SLACK } from "../cache/windows.ts";
import { type DueEviction, evictionDue, queriesOf } from "../evict/decoding.ts";
import { type Reading, readPrompt, type ReadRequest } from "../evict/read.ts";
import { predicts } from "../evict/rounds.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import { freeSums } from "../evidence/accumulated.ts";
import { reachOf } from "../engine/go_back.ts";
import { prefill } from "../engine/prefill.ts";
import { type HeldMark, holdSequence, markSequence, rollbackSequence } from "../engine/sequence.ts";
import type { MaybePromise } from "../../policies/policy.ts";
import type { ReadOptions } from "./session.ts";
import type { SessionContext } from "./context.ts";
import { beginTail, pointsOf } from "./return_points.ts";
import { dropTail, replaceSums, type State } from "./state.ts";
import { countDecodeEviction, countReading } from "./tally.ts";
import { judgeOf, outcomeOf } from "./outcome.ts";

/** What a piece of a text takes along from the pieces before it. */
type Carried = Pick<ReadRequest, "earlier" | "statistics" | "answerFollows">;

/**
 * Reads what is pending and some ids, and evicts what the policy does not keep of all that is held.
 * If it fails, the state is as it was.
 *
 * @param beforeEviction Runs when nothing can fail any more.
 */
export async function readAndEvict(
  context: SessionContext,
  ids: readonly number[],
  readOptions: ReadOptions & Carried,
  beforeEviction: () => void = () => {},
): Promise<Reading> {
  const { state, tally, marks, options: { policy, budget } } = context;
  const unscored = predicts(policy) ? unscoredTail(state, context.model.engine.config) : 0;
  if (unscored > 0) {
    // Their scores are predicted when they are read: they are read again.
    await marks.beforeEviction(state, markSequence(state.sequence));
    dropTail(state, reachOf(state.sequence, unscored, pointsOf(state)));
  }
  const at = markSequence(state.sequence);
  let evicted = false;
  const reading = await evicting(context, ids, readOptions, async () => {
    beforeEviction();
    await marks.beforeEviction(state, at);
    evicted = true;
  });
  const { cache } = state.sequence;
  const slides = globalLayersOf(cache).length === 0;
  state.outcome = outcomeOf(state.outcome, reading, state.ids.length, {
    kept: Array.from({ length: cache.layers }, (_, layer) => cache.lengths(layer)),
    judge: evicted ? judgeOf(policy, budget, true) : undefined,
    uncut: policy.evicts === false
      ? undefined
      : slides
      ? "sliding"
      : reading.raised
      ? "protected"
      : "covered",
  });
  countReading(tally, reading, policy);
  return reading;
}

/**
 * Evicts while an answer is written, if the policy wants it now. The last tokens are read again where
 * it judges by them.
 */
export async function evictWhileWriting(context: SessionContext): Promise<void> {
  const { model: { engine }, options, state: { sequence, tail, pinned } } = context;
  const { policy, budget } = options;
  const due = await evictionDue({
    ...{ engine, sequence, policy, budget, tail, pinned },
    raise: "ratios",
  });
  if (due) await evictHeld(context, due);
}

/** Evicts from what is held. What is pending stays so. */
export async function evictHeld(context: SessionContext, due: DueEviction): Promise<void> {
  const { options, state, tally, marks } = context;
  const { policy } = options;
  // Before anything is read again: marks bring back the very numbers that were there.
  await marks.beforeEviction(state, markSequence(state.sequence));
  const later = state.pending;
  state.pending = [];
  const reread = predicts(policy) ? unscoredTail(state, context.model.engine.config) : due.reread;
  dropTail(state, reachOf(state.sequence, reread, pointsOf(state)));
  const whileWriting = { ...context, options: { ...options, budget: due.budget } };
  const { attentionSums: earlier } = state;
  try {
    const reading = await evicting(whileWriting, [], { earlier }, () => {});
    state.outcome = {
      ...state.outcome,
      judge: judgeOf(policy, due.budget, true),
      uncut: undefined,
    };
    countDecodeEviction(tally, reading, policy);
  } finally {
    state.pending = [...state.pending, ...later];
    if (later.length > 0) state.logits = undefined;
  }
}

async function evicting(
  { model, options, state }: SessionContext,
  ids: readonly number[],
  { earlier, statistics, answerFollows, scores = false, signal, onProgress }: ReadOptions & Carried,
  beforeEviction: () => MaybePromise<void>,
): Promise<Reading> {
  const { engine, now } = model;
  const { sequence, pinned } = state;
  const { policy, budget, chunk } = options;
  const scored = predicts(policy);
  const all = [...state.pending, ...ids];
  let evicted = false;
  const reading = await undoing(state, async (before) =>
    await readPrompt({
      engine,
      sequence,
      ids: all,
      before: state.ids,
      policy,
      budget,
      facts: await model.facts(),
      chunk,
      pinned,
      raise: "ratios",
      earlier: earlier ?? (scored ? state.attentionSums : undefined),
      statistics,
      answerFollows,
      scores,
      now,
      signal,
      onProgress,
      beforeCompaction: async () => {
        await beforeEviction();
        // Nothing is taken back from here on: what windows put aside for it is free.
        before[Symbol.dispose]();
        evicted = true;
      },
    }));
  if (all.length > 0) hold(state, all, reading.logits);
  if (scored || evicted) replaceSums(state, reading.attentionSums);
  else freeSums(reading.attentionSums);
  if (evicted) {
    state.tail = 0;
    beginTail(state, state.transcript.kind !== "raw" || queriesOf(policy) > DEFAULT_SLACK);
  }
  return reading;
}

/** Tokens at the end of a text whose scores were not predicted: those of an answer, and what was read to be answered. */
function unscoredTail(
  { sequence: { cache }, attentionSums, tail }: State,
  { kvHeads }: ModelConfig,
): number {
  const [first] = globalLayersOf(cache);
  if (first === undefined) return 0;
  const total = (lengths: readonly number[]) => lengths.reduce((sum, length) => sum + length, 0);
  const scored = total(attentionSums?.[0]?.lengths ?? []);
  return Math.min(tail, (total(cache.lengths(first)) - scored) / kvHeads);
}

/** Reads what is pending and some ids, and evicts nothing. If it fails, the state is as it was. */
export async function readWhole(
  { model: { engine, now }, options: { chunk }, state, tally }: SessionContext,
  ids: readonly number[],
  { signal, onProgress }: ReadOptions,
): Promise<void> {
  const { sequence } = state;
  const all = [...state.pending, ...ids];
  const start = now();
  const { logits } = await undoing(
    state,
    () => prefill(engine, sequence, all, { chunk, observe: "none", signal, onProgress }),
  );
  hold(state, all, logits);
  tally.prefilled += all.length;
  tally.times.prefill += now() - start;
}

function hold(state: State, ids: readonly number[], logits: Float32Array): void {
  state.ids = state.ids.concat(ids);
  state.tail += ids.length;
  state.pending = [];
  state.logits = logits;
}

/** Where work fails, takes what it has read so far out of the cache again. */
async function undoing<T>(
  { sequence }: State,
  work: (before: HeldMark) => Promise<T>,
): Promise<T> {
  using mark = holdSequence(sequence);
  try {
    return await work(mark);
  } catch (error) {
    rollbackSequence(sequence, mark);
    throw error;
  }
}
