import type { ModelFacts, Policy } from "../../policies/policy.ts";
import type { KeptTokens } from "../../runtime/evict/choose.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import type { HostKvCache } from "../../runtime/cache/kv_cache.ts";
import type { HostEngine } from "../../runtime/engine/host/host_engine.ts";
import { hostCacheOf } from "../../runtime/cache/host_cache.ts";
import { emptySequence, markSequence, rollbackSequence } from "../../runtime/engine/sequence.ts";
import { greedyAnswer } from "../../runtime/evidence/greedy.ts";
import type { TrainingPrompt } from "../prompts.ts";

/** What soft tokens that restore are trained with, of one prompt. */
export interface RestoringExample {
  /** Tokens of the prompt. */
  readonly position: number;
  /** Keys and values of each layer. */
  readonly past: readonly { readonly keys: Float32Array; readonly values: Float32Array }[];
  /** Indices that the policy keeps. */
  readonly kept: KeptTokens;
  /** Tokens that follow; those behind the answer's end are 0. */
  readonly ids: readonly number[];
  /** What the full cache predicts behind each of them, `[follows, vocabulary]`. */
  readonly target: Float32Array;
  /** Weight of each in the loss: they come to 1. */
  readonly weights: Float32Array;
}

/** How an example is made. */
export interface ExampleRequest {
  readonly engine: HostEngine;
  readonly facts: ModelFacts;
  /** Chooses what stays besides the soft tokens. */
  readonly policy: Policy;
  /** Share of the prompt that stays, soft tokens included. */
  readonly ratio: number;
  readonly tokens: number;
  /** Tokens that follow. */
  readonly follows: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a prompt, notes what the policy keeps of it, and what the full cache predicts behind each token of the
 * answer: that of the data, or the model's own.
 *
 * @returns `undefined` where the prompt is too short to drop anything.
 */
export async function restoringExample(
  { ids: prompt, response }: TrainingPrompt,
  { engine, facts, policy, ratio, tokens, follows, signal }: ExampleRequest,
): Promise<RestoringExample | undefined> {
  const budget = Math.floor(prompt.length * ratio) - tokens;
  if (budget < 1) return undefined;
  let full: HostKvCache | undefined;
  const read = emptySequence(engine.newCache());
  using _evicted = read.cache;
  const { kept, logits } = await readPrompt({
    ...{ engine, sequence: read, ids: prompt, policy, facts, signal },
    budget,
    raise: "all",
    chunk: engine.chunk,
    scores: false,
    now: () => 0,
    beforeCompaction: async () => void (full = hostCacheOf(await read.cache.fork())),
  });
  if (!full) return undefined;
  using cache = full;
  const sequence = { ...read, cache, positionMap: undefined };
  sequence.position = sequence.planned = prompt.length;
  const answer = response.kind === "original"
    ? response.ids.slice(0, follows)
    : await greedyAnswer({ engine, sequence, logits, steps: follows, signal });
  const { vocabulary } = engine.config;
  const target = new Float32Array(follows * vocabulary);
  const past = Array.from({ length: cache.layers }, (_, layer) => ({
    keys: cache.keys(layer).slice(),
    values: cache.values(layer).slice(),
  }));
  const mark = markSequence(sequence);
  const rows = answer.map((_, row) => row);
  const predicted = await engine.advance(sequence, { ids: answer, rows });
  rollbackSequence(sequence, mark);
  for (const row of rows) {
    const ofRow = predicted.logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    target.set(probabilities(ofRow), row * vocabulary);
  }
  return {
    position: prompt.length,
    past,
    kept,
    ids: Array.from({ length: follows }, (_, row) => answer[row] ?? 0),
    target,
    weights: Float32Array.from(
      { length: follows },
      (_, row) => row < answer.length ? 1 / answer.length : 0,
    ),
  };
}

function probabilities(logits: Float32Array): Float32Array {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = logits.map((logit) => Math.exp(logit - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}
