import type { Evidence, ModelFacts, Policy, SoftTokens } from "../../policies/policy.ts";
import type { Budget } from "../budget.ts";
import { evictLayer } from "../evict/evict_layer.ts";
import { keepPerLayer } from "../evict/keep_per_layer.ts";
import type { Engine, Sequence } from "./engine.ts";
import { type Gathered, gatherEvidence, observationFor, softTokensFor } from "./evidence.ts";
import { layerView } from "./layer_view.ts";
import { prefill } from "./prefill.ts";
import { gatherPromptStatistics } from "./query_statistics.ts";

/** What {@linkcode readPrompt} is to do. */
export interface ReadRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  readonly ids: readonly number[];
  readonly policy: Policy;
  readonly budget: Budget;
  readonly facts: ModelFacts;
  readonly chunk: number;
  /** Whether the policy's scores are wanted. */
  readonly scores: boolean;
  readonly now: () => number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Milliseconds of each phase. */
export interface ReadTimes {
  /** Reading the prompt. What a policy observes on the way is part of it. */
  readonly prefill: number;
  /** Probing with soft tokens or an answer. */
  readonly evidence: number;
  /** Scoring and selecting. */
  readonly selection: number;
  /** Compacting the cache. */
  readonly compaction: number;
}

/** What reading a prompt and evicting gave. */
export interface Reading {
  /** Logits of the last prompt token. */
  readonly logits: Float32Array;
  /** Tokens of the prompt. */
  readonly tokens: number;
  /** Kept indices of the prompt, `[layer][KV head]`. */
  readonly kept: readonly (readonly Int32Array[])[];
  /** Scores `[kvHeads × tokens]` per layer; empty unless wanted, or where the policy has none. */
  readonly scores: readonly Float32Array[];
  /** Allocated bytes of the cache. */
  readonly bytes: { readonly before: number; readonly after: number };
  /** Milliseconds of each phase. */
  readonly times: ReadTimes;
  /** The soft tokens that judged, if any did. */
  readonly softTokens?: SoftTokens;
}

/** Reads a prompt into an empty sequence and evicts what the policy does not keep. */
export async function readPrompt(request: ReadRequest): Promise<Reading> {
  const { engine, sequence, ids, policy, now } = request;
  const { cache } = sequence;
  const { layers, kvHeads, headDim } = engine.config;
  const keep = keepPerLayer(policy, {
    length: ids.length,
    budget: request.budget,
    shape: { layers, kvHeads, headDim },
  });
  // Where everything is kept, nothing is scored, and nothing need be gathered.
  const evicts = request.scores || keep.some((count) => count < ids.length);
  const soft = evicts
    ? await softTokensFor(policy.evidence, request.facts, engine.config)
    : undefined;
  const evidence: Evidence = soft ? { kind: "soft", tokens: () => soft } : policy.evidence;
  const start = now();
  await using statistics = await gatherPromptStatistics(evicts ? [evidence] : [], engine);
  const prefilled = await prefill(engine, sequence, ids, {
    ...request,
    ...statistics,
    observe: evicts ? observationFor(evidence) : "none",
  });
  const read = now();
  const before = cache.bytes;
  const found = evicts
    ? await gatherEvidence(evidence, { ...request, prefilled, statistics, keep })
    : {};
  const gathered = now();
  const { kept, scores, compaction } = await evict(request, keep, found);
  const end = now();
  return {
    logits: prefilled.logits,
    tokens: ids.length,
    kept,
    scores,
    bytes: { before, after: cache.bytes },
    times: {
      prefill: read - start,
      evidence: gathered - read,
      selection: end - gathered - compaction,
      compaction,
    },
    ...(soft ? { softTokens: soft } : {}),
  };
}

interface Evicted {
  readonly kept: Int32Array[][];
  readonly scores: Float32Array[];
  readonly compaction: number;
}

async function evict(
  { engine, sequence: { cache }, policy, scores: wanted, now, ids }: ReadRequest,
  keep: readonly number[],
  gathered: Gathered,
): Promise<Evicted> {
  const kept: Int32Array[][] = [];
  const scores: Float32Array[] = [];
  // All layers are chosen before the first is compacted: a policy that fails leaves a whole cache.
  for (const [layer, count] of keep.entries()) {
    const view = layerView(cache, engine.config, layer, gathered);
    if (wanted && "score" in policy) scores.push(await policy.score(view));
    kept.push([...await evictLayer(policy, view, count)]);
  }
  const start = now();
  for (const [layer, heads] of kept.entries()) {
    if ((heads[0]?.length ?? 0) < ids.length) cache.compact(layer, heads);
  }
  return { kept, scores, compaction: now() - start };
}
