import type { Reading } from "../evict/read.ts";
import { carriedStatistics, joinReadings, nextPiece } from "../evict/pieces.ts";
import type { SessionContext } from "./context.ts";
import { readAndEvict } from "./read.ts";
import { makeRoom, noRoom, refusal } from "./room.ts";
import type { ReadOptions } from "./session.ts";

/**
 * Reads what is pending and some ids, and evicts: in pieces, with an eviction behind each, where the
 * policy evicts while it reads, and where the text passes the context. If that fails, the state holds
 * what was read until then.
 *
 * @param beforeEviction Runs when nothing can fail any more.
 * @throws {PromptError} If there is no room, or no piece of it fits.
 */
export async function readInPieces(
  context: SessionContext,
  ids: readonly number[],
  readOptions: ReadOptions,
  beforeEviction: () => void = () => {},
): Promise<Reading> {
  const { model: { engine }, options: { policy, budget }, state, tally } = context;
  const { onProgress } = readOptions;
  const before = state.ids.length;
  const total = state.pending.length + ids.length;
  const readings = joinReadings();
  using statistics = carriedStatistics(policy, engine);
  if (policy.phases?.reading) {
    // Keys of all pieces are rotated as those of the whole are.
    const { sequence } = state;
    sequence.planned = Math.max(sequence.planned, sequence.position + total);
  }
  let [pieces, passed, read] = [0, false, 0];
  for (let rest = ids;;) {
    const { pending, sequence } = state;
    const wanted = { engine, sequence, policy, budget, rest: pending.length + rest.length };
    const next = nextPiece(wanted);
    const now = { ...context, options: { ...context.options, budget: next.budget } };
    const reason = await makeRoom(now, next.tokens + 1);
    const fits = reason === undefined;
    const room = engine.config.context - 1 - sequence.position - state.pending.length;
    if (!fits && (room < 1 || refusal(context) !== undefined)) {
      throw noRoom(context, total, before, reason);
    }
    const piece = rest.slice(0, fits ? Math.max(0, next.tokens - state.pending.length) : room);
    const last = piece.length === rest.length;
    const done = read;
    const progress = (here: number) => onProgress?.(done + here, total);
    read += state.pending.length + piece.length;
    pieces++;
    passed ||= !fits;
    const earlier = policy.phases?.reading ? state.attentionSums : undefined;
    const scores = pieces === 1 && last && readOptions.scores === true;
    const answerFollows = last && state.transcript.kind !== "document";
    const given = {
      ...readOptions,
      scores,
      statistics,
      earlier,
      answerFollows,
      onProgress: progress,
    };
    readings.add(await readAndEvict(now, piece, given, last ? beforeEviction : () => {}));
    if (!last) tally.readEvictions++;
    if (last) break;
    rest = rest.slice(piece.length);
  }
  if (passed) {
    tally.notes.add(
      `${total} tokens passed the context of ${engine.config.context}: they were read in ${pieces} ` +
        "pieces, and the policy judged behind each of them by what was read until then",
    );
  }
  const reading = readings.whole(before === 0 ? state.sequence : undefined);
  state.outcome = { ...state.outcome, bytes: reading.bytes };
  return { ...reading, tokens: total };
}
