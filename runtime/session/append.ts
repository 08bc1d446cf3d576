import type { Reading } from "../engine/read.ts";
import type { Prompt } from "../prompt.ts";
import type { ReadOptions } from "../session.ts";
import { checkMore } from "./context.ts";
import { readAndEvict, type ReaderContext } from "./reader.ts";
import { dropTail } from "./state.ts";
import { noteUnseenQuestion } from "./stats.ts";
import { type Continuation, continuation, withAnswer } from "./told.ts";

/**
 * Finds what follows all that was read and answered; changes nothing yet.
 *
 * @throws {PromptError} If such a prompt cannot follow, or passes the context.
 */
export function whatFollows(
  { model: { engine, tokenizer }, state }: ReaderContext,
  prompt: Prompt,
): Continuation {
  const { told, answer, ids, pending, tail } = state;
  const standing = {
    told: withAnswer(told, answer),
    ids: [...ids, ...pending],
    tail: tail + pending.length,
  };
  const found = continuation(standing, prompt, tokenizer);
  checkMore(found.ids, standing.ids.length - found.drop, engine);
  return found;
}

/** Makes a state ready for the ids of a continuation. */
export function takeUp(
  { state, tally }: ReaderContext,
  { drop, told, note }: Continuation,
): void {
  const unread = Math.min(drop, state.pending.length);
  const pending = state.pending.slice(0, state.pending.length - unread);
  dropTail(state, drop - unread);
  // What was dropped from the cache comes again, written otherwise.
  Object.assign(state, { pending, told, answer: undefined });
  if (note !== undefined) tally.notes.add(note);
}

/** Reads more and evicts. If it fails, the state is as it was. */
export async function appendPrompt(
  context: ReaderContext,
  prompt: Prompt,
  options: ReadOptions,
): Promise<Reading> {
  const { state, tally, marks } = context;
  const found = whatFollows(context, prompt);
  using before = marks.take(state);
  if ("messages" in prompt) noteUnseenQuestion(state.outcome, tally);
  try {
    takeUp(context, found);
    // Nothing can fail once something is evicted: no copy is needed for that.
    return await readAndEvict(context, found.ids, options, () => before[Symbol.dispose]());
  } catch (error) {
    marks.restore(before, state);
    throw error;
  }
}
