import { readEvidence } from "../../evaluation/read_evidence.ts";
import type { ModelFacts, Policy } from "../../policies/policy.ts";
import { hostCacheOf } from "../../runtime/cache/host_cache.ts";
import type { HostEngine } from "../../runtime/engine/host/host_engine.ts";
import type { KeptTokens } from "../../runtime/evict/choose.ts";
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

/** How a prompt is read. */
export interface ExampleRequest {
  readonly engine: HostEngine;
  readonly facts: ModelFacts;
  /** Chooses what stays besides the soft tokens. */
  readonly policy: Policy;
  /** Tokens that follow. */
  readonly follows: number;
  readonly signal?: AbortSignal | undefined;
}

/** A prompt that was read once; what stays of it may be asked as often as wanted. Owns its cache. */
export interface ReadExample extends Disposable {
  /** Bytes that it holds. */
  readonly bytes: number;
  /** What is trained with where the policy keeps that many tokens. */
  keeping(tokens: number): Promise<RestoringExample>;
}

/**
 * Reads a prompt, and notes what the full cache predicts behind each token of the answer: that of the data, or
 * the model's own.
 */
export async function readExample(
  { ids: prompt, response }: TrainingPrompt,
  { engine, facts, policy, follows, signal }: ExampleRequest,
): Promise<ReadExample> {
  using opening = new DisposableStack();
  const evidence = opening.use(
    await readEvidence({
      ...{ engine, facts, ids: prompt },
      policies: [policy],
      raise: "all",
      answerTokens: follows,
      ...(response.kind === "original" ? { answer: response.ids } : {}),
      ...(signal ? { signal } : {}),
      now: () => 0,
    }),
  );
  const { answer } = evidence;
  const { vocabulary } = engine.config;
  const target = new Float32Array(follows * vocabulary);
  const rows = answer.map((_, row) => row);
  const { result: predicted } = await evidence.workFrom(
    undefined,
    (sequence) => engine.advance(sequence, { ids: answer, rows }),
  );
  for (const row of rows) {
    const ofRow = predicted.logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    target.set(probabilities(ofRow), row * vocabulary);
  }
  const known = {
    position: prompt.length,
    ids: Array.from({ length: follows }, (_, row) => answer[row] ?? 0),
    target,
    weights: Float32Array.from(
      { length: follows },
      (_, row) => row < answer.length ? 1 / answer.length : 0,
    ),
  };
  const judged = [...evidence.answerAttention, ...evidence.attention(policy) ?? []];
  const owned = opening.move();
  return {
    bytes: [target, ...judged].reduce((sum, { byteLength }) => sum + byteLength, evidence.bytes),
    async keeping(tokens) {
      const kept = await evidence.keep(policy, { tokens });
      const { result: past } = await evidence.workFrom(undefined, (sequence) => {
        const cache = hostCacheOf(sequence.cache);
        return Promise.resolve(Array.from({ length: cache.layers }, (_, layer) => ({
          keys: cache.keys(layer).slice(),
          values: cache.values(layer).slice(),
        })));
      });
      return { ...known, past, kept };
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function probabilities(logits: Float32Array): Float32Array {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = logits.map((logit) => Math.exp(logit - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}
