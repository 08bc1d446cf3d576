import { reachOf } from "../engine/go_back.ts";
import type { Reading } from "../evict/read.ts";
import type { Prompt } from "../tokenizer/prompt.ts";
import type { ReadOptions } from "./session.ts";
import { checkMore } from "./check_prompt.ts";
import { addedSpans, systemSpan } from "./pin.ts";
import type { SessionContext } from "./context.ts";
import { pointsOf } from "./return_points.ts";
import { readInPieces } from "./pieces.ts";
import { dropTail } from "./state.ts";
import { noteUnseenQuestion } from "./tally.ts";
import { type Continuation, continuation, withAnswer } from "./transcript.ts";

/**
 * Finds what follows all that was read and answered; changes nothing yet.
 *
 * @throws {PromptError} If such a prompt cannot follow.
 */
export function whatFollows(
  { model: { engine, tokenizer }, state }: SessionContext,
  prompt: Prompt,
): Continuation {
  const { transcript, answer, ids, pending, tail, sequence } = state;
  const standing = {
    transcript: withAnswer(transcript, answer),
    ids: [...ids, ...pending],
    tail: reachOf(sequence, tail, pointsOf(state)) + pending.length,
  };
  const found = continuation(standing, prompt, tokenizer);
  checkMore(found.ids, engine);
  return found;
}

/** Makes a state ready for the ids of a continuation. */
export function takeUp(
  { state, tally, marks }: SessionContext,
  { drop, transcript, note }: Continuation,
): void {
  const unread = Math.min(drop, state.pending.length);
  const pending = state.pending.slice(0, state.pending.length - unread);
  const left = state.ids.length - (drop - unread);
  dropTail(state, drop - unread);
  // What was dropped from the cache comes again, written otherwise; what windows lack is read again.
  state.pending = [...state.pending.slice(0, left - state.ids.length), ...pending];
  if (drop > 0) marks.dropped(state);
  state.transcript = transcript;
  state.answer = undefined;
  if (note !== undefined) tally.notes.add(note);
}

/** Reads more and evicts. If it fails, the state is as it was. */
export async function appendPrompt(
  context: SessionContext,
  prompt: Prompt,
  options: ReadOptions,
): Promise<Reading> {
  const { state, tally, marks } = context;
  const found = whatFollows(context, prompt);
  using before = marks.take(state);
  if ("messages" in prompt) noteUnseenQuestion(state.outcome, tally);
  try {
    takeUp(context, found);
    pinTokens(context, found.ids, options.protect);
    // Nothing can fail once the last of it is evicted: no copy is needed for that.
    return await readInPieces(context, found.ids, options, () => before[Symbol.dispose]());
  } catch (error) {
    marks.restore(before, state);
    throw error;
  }
}

/**
 * Protects what is to be protected of ids that are about to be read, and the system message of those
 * that are read first.
 *
 * @throws {PromptError} If a span is none.
 */
export function pinTokens(
  { model: { tokenizer }, options: { protectSystem }, state }: SessionContext,
  ids: readonly number[],
  given: ReadOptions["protect"] = false,
): void {
  const from = state.ids.length + state.pending.length;
  const system = from === 0 && protectSystem ? systemSpan(state.transcript, ids, tokenizer) : [];
  state.pinned = addedSpans([...state.pinned, ...system], given, { from, to: from + ids.length });
}
