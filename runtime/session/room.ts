import { globalLayersOf, mostHeld } from "../cache/global_layers.ts";
import { DEFAULT_SLACK } from "../cache/windows.ts";
import { markSequence } from "../engine/sequence.ts";
import { queriesOf } from "../evict/decoding.ts";
import { changeWithLength } from "../rotary/frequencies.ts";
import { rerotateKeys } from "../rotary/rerotate.ts";
import { PromptError } from "../errors.ts";
import { movedPoints } from "./return_points.ts";
import { evictHeld } from "./read.ts";
import type { SessionContext } from "./context.ts";

/**
 * Makes room for tokens within the model's context: what is held is evicted to the budget where that is
 * needed, and its keys are rotated on to positions without gaps.
 *
 * @returns Why there is no room, where there is none.
 */
export async function makeRoom(
  context: SessionContext,
  tokens: number,
): Promise<string | undefined> {
  const { model: { engine: { config } }, options: { policy, budget }, state } = context;
  const { sequence } = state;
  const fits = () => sequence.position + tokens <= config.context;
  if (fits()) return undefined;
  const refused = refusal(context);
  if (refused !== undefined) return refused;
  const held = () => mostHeld(sequence.cache);
  const evictable = globalLayersOf(sequence.cache).length > 0;
  const wanted = queriesOf(policy);
  // Without a token that no eviction has seen, there is nothing to judge by.
  const judges = wanted === 0 || state.tail > 0;
  if (evictable && judges && held() + tokens > config.context) {
    await evictHeld(context, { budget, reread: Math.min(state.tail, wanted) });
  }
  const first = evictable ? 0 : spared(config.context - held() - tokens);
  if (first + held() < sequence.position) await closeGaps(context, first);
  if (fits()) return undefined;
  return evictable
    ? `${held()} tokens are held after eviction; give a smaller budget`
    : `its windows hold ${held()} tokens; give less at once`;
}

/**
 * Positions to leave free before what windows hold, so that tokens can be taken off the end: where no
 * layer is global, nothing else lies there.
 *
 * @param free Positions that neither the windows nor the tokens to come take.
 */
function spared(free: number): number {
  return Math.max(0, Math.min(DEFAULT_SLACK, Math.floor(free / 4)));
}

/** Why a session may not pass its model's context at all, if it may not. */
export function refusal(
  { model: { engine: { config } }, options, state }: SessionContext,
): string | undefined {
  const { policy, beyondContext } = options;
  if (beyondContext === "refuse") {
    return "'beyondContext' is 'refuse'; roll back, or start again with a shorter text";
  }
  const evictable = globalLayersOf(state.sequence.cache).length > 0;
  if (policy.evicts === false && evictable) {
    return `policy '${policy.name}' evicts nothing; use one that evicts`;
  }
  if (!changeWithLength(config)) return undefined;
  return "its RoPE scaling changes with the text's length, so that cached keys cannot be rerotated to " +
    "other positions; roll back, or start again with a shorter text";
}

/**
 * As {@linkcode makeRoom}, where there must be some.
 *
 * @throws {PromptError} If there is none.
 */
export async function requireRoom(context: SessionContext, tokens: number): Promise<void> {
  const before = context.state.ids.length;
  const reason = await makeRoom(context, tokens + 1);
  if (reason !== undefined) throw noRoom(context, tokens, before, reason);
}

async function closeGaps(
  { model: { engine }, state, tally, marks }: SessionContext,
  first: number,
): Promise<void> {
  const { sequence } = state;
  await marks.beforeEviction(state, markSequence(sequence));
  const { position } = sequence;
  await rerotateKeys(sequence, engine.config, first);
  state.points = movedPoints(state.points, sequence.position - position);
  tally.rerotated = { times: (tally.rerotated?.times ?? 0) + 1, at: state.ids.length };
}

/** The error that says that tokens have no room. */
export function noRoom(
  { model: { engine: { config: { context } } } }: SessionContext,
  tokens: number,
  before: number,
  reason: string,
): PromptError {
  if (before === 0) {
    return new PromptError(
      `Cannot read ${tokens} tokens in pieces: the model's context is ${context} tokens and the ` +
        `answer needs at least one; ${reason}`,
    );
  }
  return new PromptError(
    `Cannot append ${tokens} tokens: ${before} were read and answered before, evicted ones count ` +
      `too, the model's context is ${context} tokens and the answer needs at least one; ${reason}`,
  );
}
