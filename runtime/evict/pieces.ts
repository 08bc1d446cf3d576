import type { Policy } from "../../policies/policy.ts";
import type { BudgetShape } from "../cache/bytes_per_token.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import { cacheShapeOf, type Engine } from "../engine/engine.ts";
import type { Sequence } from "../engine/sequence.ts";
import { type AttentionSums, freeSums } from "../evidence/accumulated.ts";
import { gatherPromptStatistics, type PromptStatistics } from "../evidence/statistics.ts";
import { tokenOf, tokensRead } from "../rotary/position_map.ts";
import { type Budget, isPerLayer, keepCount, type UniformBudget } from "./budget.ts";
import type { KeptTokens } from "./choose.ts";
import { queriesOf } from "./decoding.ts";
import { type Reading, readPrompt, type ReadRequest } from "./read.ts";
import { policiesOf } from "./rounds.ts";

/** The working budget, as a multiple of the budget. */
const DEFAULT_FACTOR = 4;

/** What a prompt is read in pieces for. */
export interface PiecesRequest {
  readonly engine: Pick<Engine, "config" | "numberBytes">;
  readonly sequence: Pick<Sequence, "cache" | "position" | "positionMap">;
  readonly policy: Policy;
  readonly budget: Budget;
  /** Tokens that are still to be read. */
  readonly rest: number;
}

/** The next piece of a prompt. */
export interface Piece {
  /** Its tokens: all that are left, unless the policy evicts before. */
  readonly tokens: number;
  /** What is left behind it. */
  readonly budget: Budget;
}

/**
 * What is read next before a policy evicts. Pieces fill the cache to the working budget and `every`
 * tokens more. A last one that would be too short for the queries that the policy judges by takes some
 * of the one before.
 */
export function nextPiece({ engine, sequence, policy, budget, rest }: PiecesRequest): Piece {
  const phase = policy.phases?.reading;
  const { cache } = sequence;
  const whole = { tokens: rest, budget };
  if (!phase || globalLayersOf(cache).length === 0) return whole;
  const { every } = phase;
  const shape = cacheShapeOf(engine);
  const length = tokensRead(sequence) + rest;
  const working = workingBudget(phase.keep, budget, length, shape);
  const full = Math.max(every, Math.floor(meanTokens(working) + every - meanHeld(cache)));
  if (rest <= full) return whole;
  const judging = queriesOf(policy);
  const left = rest - full;
  const short = Number.isFinite(judging) && left < judging;
  const tokens = short ? Math.max(rest - judging, Math.ceil(rest / 2)) : full;
  return { tokens: Math.min(tokens, full), budget: working };
}

type Tokens = Extract<UniformBudget, { readonly tokens: number }>;

/** What is left while more is to come: never less than the budget comes to when all is read. */
function workingBudget(
  keep: number | undefined,
  budget: Budget,
  length: number,
  shape: BudgetShape,
): Tokens | readonly Tokens[] {
  const atLeast = (one: UniformBudget, of: BudgetShape): Tokens => {
    const last = keepCount(length, one, of);
    return { tokens: Math.max(last, keep ?? DEFAULT_FACTOR * last) };
  };
  if (!isPerLayer(budget)) return atLeast(budget, shape);
  const { sliding: _, ...one } = { ...shape, layers: 1 };
  return budget.map((amount) => atLeast(amount, one));
}

function meanTokens(budget: Tokens | readonly Tokens[]): number {
  const all = "tokens" in budget ? [budget] : budget;
  return all.reduce((sum, { tokens }) => sum + tokens, 0) / all.length;
}

/** Tokens of a KV head of the global layers, on average. */
function meanHeld(cache: KvCache): number {
  const held = globalLayersOf(cache).flatMap((layer) => cache.lengths(layer));
  return held.reduce((sum, length) => sum + length, 0) / held.length;
}

/** Statistics that the pieces of a prompt are added to, where its policy judges by any. */
export function carriedStatistics(
  policy: Policy,
  engine: Pick<Engine, "config" | "addQueries">,
): PromptStatistics | undefined {
  if (!policy.phases?.reading) return undefined;
  return gatherPromptStatistics(policiesOf(policy).map(({ evidence }) => evidence), engine);
}

/** Readings of the pieces of one text, as one. */
export interface PiecesReading {
  /** Adds the next. */
  add(reading: Reading): void;
  /**
   * All of them.
   *
   * @param sequence Holds what was kept, where the pieces are all that it has read.
   */
  whole(sequence?: Sequence): Reading;
}

/** Puts the readings of pieces together. */
export function joinReadings(): PiecesReading {
  let all: Reading | undefined;
  let pieces = 0;
  return {
    add(reading) {
      pieces++;
      all = all ? joined(all, reading) : reading;
    },
    whole(sequence) {
      if (!all) throw new RangeError("nothing was read");
      if (pieces === 1) return all;
      return { ...all, kept: sequence ? keptOf(sequence) : all.kept, scores: [] };
    },
  };
}

function joined(before: Reading, last: Reading): Reading {
  const { prefill, evidence, selection, compaction } = before.times;
  return {
    ...last,
    tokens: before.tokens + last.tokens,
    bytes: { ...last.bytes, before: Math.max(before.bytes.before, last.bytes.before) },
    times: {
      prefill: prefill + last.times.prefill,
      evidence: evidence + last.times.evidence,
      selection: selection + last.times.selection,
      compaction: compaction + last.times.compaction,
    },
    copied: before.copied + last.copied,
  };
}

/** The tokens of the text that are held; of a layer that slides, all that it holds. */
function keptOf({ cache, positionMap }: Sequence): KeptTokens {
  return Array.from({ length: cache.layers }, (_, layer) => {
    const lengths = cache.lengths(layer);
    if (cache.window(layer) !== undefined) {
      return lengths.map((length) => Int32Array.from({ length }, (_, index) => index));
    }
    const positions = cache.positions(layer);
    let start = 0;
    return lengths.map((length, head) =>
      positions.slice(start, start += length)
        .map((position) => tokenOf(positionMap, layer, head, position))
        .filter((token) => token >= 0)
    );
  });
}

/**
 * As `readPrompt`, in the pieces that the policy wants. Where it fails, the sequence may hold a part of
 * the prompt.
 */
export async function readPieces(request: ReadRequest): Promise<Reading> {
  const { engine, sequence, ids, policy, budget, onProgress } = request;
  using statistics = carriedStatistics(policy, engine);
  const readings = joinReadings();
  let { earlier } = request;
  let carried: AttentionSums | undefined;
  using owned = new DisposableStack();
  owned.defer(() => freeSums(carried));
  for (let done = 0; done === 0 || done < ids.length;) {
    const piece = nextPiece({ engine, sequence, policy, budget, rest: ids.length - done });
    const from = done;
    const last = from + piece.tokens >= ids.length;
    const reading = await readPrompt({
      ...request,
      ids: ids.slice(from, from + piece.tokens),
      before: [...(request.before ?? []), ...ids.slice(0, from)],
      budget: piece.budget,
      statistics,
      earlier,
      ...(last ? {} : { answerFollows: false }),
      onProgress: (read) => onProgress?.(from + read, ids.length),
    });
    readings.add(reading);
    freeSums(carried);
    earlier = carried = reading.attentionSums;
    done += Math.max(1, piece.tokens);
  }
  const whole = readings.whole(sequence);
  // The last one's sums are those of the whole.
  owned.move();
  return whole;
}
