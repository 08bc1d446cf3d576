import type { Evidence, ModelFacts, Policy } from "../../policies/policy.ts";
import type { Budget } from "./budget.ts";
import { keepPerLayer, type KeepRequest } from "./allocate.ts";
import { hasThreshold } from "./contract.ts";
import { countPinned, type TokenSpan } from "./pinned.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import { cacheShapeOf, type Engine } from "../engine/engine.ts";
import { goBack } from "../engine/go_back.ts";
import { holdSequence, type Sequence, type SequenceMark } from "../engine/sequence.ts";
import { greedyTokens } from "../evidence/greedy.ts";
import { readPrompt } from "./read.ts";
import { type AttentionSums, freeSums } from "../evidence/accumulated.ts";
import { tokensRead } from "../rotary/position_map.ts";
import { policiesOf } from "./rounds.ts";

/** Where an answer that is being written stands. */
export interface Writing {
  readonly engine: Pick<Engine, "config" | "numberBytes">;
  readonly sequence: Sequence;
  readonly policy: Policy;
  /** How much is kept of a prompt. */
  readonly budget: Budget;
  /** Tokens at the end of the cache that no eviction has touched. */
  readonly tail: number;
  /** Which budgets give way to what the policy protects. @default {"none"} */
  readonly raise?: KeepRequest["raise"];
  /** Tokens of the text that stay in any case. */
  readonly pinned?: readonly TokenSpan[];
}

/** What an eviction is to do while an answer is written. */
export interface DueEviction {
  /** How much it leaves. */
  readonly budget: Budget;
  /** Tokens at the end of the cache that are read again, observed, to judge by them. */
  readonly reread: number;
}

/** The eviction that a policy wants now, after a token was written; `undefined` where it wants none. */
export async function evictionDue(
  { engine, sequence, policy, budget, tail, raise = "none", pinned = [] }: Writing,
): Promise<DueEviction | undefined> {
  const phase = policy.phases?.decoding;
  if (!phase || tail === 0 || tail % phase.every !== 0) return undefined;
  const { cache } = sequence;
  const wanted = phase.target ?? budget;
  const shape = cacheShapeOf(engine);
  const length = tokensRead(sequence);
  const keep = await keepPerLayer(policy, {
    ...{ length, budget: wanted, shape, raise },
    pinned: countPinned(pinned, length),
  });
  const globals = globalLayersOf(cache);
  const fits = globals.every((layer, index) => cache.length(layer) <= (keep[index] ?? 0));
  if (fits && !hasThreshold(policy)) return undefined;
  return {
    budget: wanted,
    reread: Math.min(tail, queriesOf(policy)),
  };
}

/** How many of the last queries a policy judges by. */
export function queriesOf(policy: Policy): number {
  return Math.max(...policiesOf(policy).map(({ evidence }) => queriesWanted(evidence)));
}

/** How many of the last queries evidence is made of. */
function queriesWanted(evidence: Evidence): number {
  switch (evidence.kind) {
    case "window":
      return evidence.size;
    case "accumulated":
    case "statistics":
    case "predicted":
      return Infinity;
    case "lookahead":
      return Math.max(1, evidence.window ?? 0, queriesWanted(evidence.draft.evidence));
    case "given":
      // An answer goes on from the logits of the last token.
      return 1;
    case "soft":
      return evidence.draft ? 1 : 0;
    case "none":
    case "replay":
      return 0;
  }
}

/** What {@linkcode answerEvicting} starts from. */
export interface EvictingAnswerRequest extends Omit<Writing, "engine"> {
  readonly engine: Engine;
  readonly facts: ModelFacts;
  /** Tokens before the answer: as many as the position says. */
  readonly ids: readonly number[];
  /** Where the tail begins, held, or the beginning of the text where nothing was evicted. */
  readonly tailStart: SequenceMark;
  /** Logits of the last of them. */
  readonly logits: Float32Array;
  /** Tokens of the answer, at most. */
  readonly steps: number;
  /** Whether an answer that begins with these ids ends with them, though the model does not end it. */
  readonly isOver?: ((ids: readonly number[]) => boolean) | undefined;
  readonly chunk: number;
  /** What held tokens received before, where the policy accumulates attention. */
  readonly earlier?: AttentionSums | undefined;
  readonly now: () => number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A greedy answer that is evicted while it is written, as the policy wants it, the token that ended it
 * included. The sequence then holds what was left.
 */
export async function answerEvicting(request: EvictingAnswerRequest): Promise<readonly number[]> {
  const { engine, sequence, policy, budget, facts, chunk, now, logits, steps, signal } = request;
  const text = [...request.ids];
  let { tail, tailStart, earlier } = request;
  let carried: AttentionSums | undefined;
  using held = new DisposableStack();
  held.defer(() => freeSums(carried));
  const tokens = greedyTokens({ engine, sequence, logits, steps, signal }, {
    async onRead(id) {
      text.push(id);
      tail++;
      const due = await evictionDue({ engine, sequence, policy, budget, tail });
      if (!due) return;
      const ids = text.slice(text.length - goBack(sequence, due.reread, [tailStart]));
      const reading = await readPrompt({
        ...{
          engine,
          sequence,
          ids,
          before: text.slice(0, text.length - ids.length),
          policy,
          budget: due.budget,
          facts,
          chunk,
          now,
          earlier,
          signal,
        },
        scores: false,
      });
      freeSums(carried);
      earlier = carried = reading.attentionSums;
      tail = 0;
      tailStart = held.use(holdSequence(sequence));
      return ids.length > 0 ? reading.logits : undefined;
    },
  });
  const answer: number[] = [];
  for await (const id of tokens) {
    answer.push(id);
    if (request.isOver?.(answer)) break;
  }
  return answer;
}
