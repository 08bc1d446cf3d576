import type { Evidence, ModelFacts, Policy, SoftTokens } from "../../policies/policy.ts";
import type { Budget } from "../budget.ts";
import { evictLayer, scoreLayer } from "../evict/evict_layer.ts";
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
  /** Called before the cache is compacted, if it is: the last chance to copy it. */
  readonly beforeCompaction?: () => void;
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
  /** Tokens that were read. */
  readonly tokens: number;
  /**
   * What was kept, `[layer][KV head]`: indices of the entries that were held when all was read. Of a
   * first prompt these are its positions.
   */
  readonly kept: readonly (readonly Int32Array[])[];
  /** Scores `[kvHeads × held]` per layer; empty unless wanted, or where the policy has none. */
  readonly scores: readonly Float32Array[];
  /** Allocated bytes of the cache. */
  readonly bytes: { readonly before: number; readonly after: number };
  /** Milliseconds of each phase. */
  readonly times: ReadTimes;
  /** The soft tokens that judged, if any did. */
  readonly softTokens?: SoftTokens;
}

/**
 * Reads a prompt behind what a sequence holds, and evicts what the policy does not keep of all of it.
 * Where it fails, the sequence may hold a part of the prompt, and nothing was evicted.
 */
export async function readPrompt(request: ReadRequest): Promise<Reading> {
  const { engine, sequence, ids, policy, now } = request;
  const { cache } = sequence;
  const { layers, kvHeads, headDim } = engine.config;
  const share = await keepPerLayer(policy, {
    length: sequence.position + ids.length,
    budget: request.budget,
    shape: { layers, kvHeads, headDim },
  });
  const held = share.map((_, layer) => cache.length(layer) + ids.length);
  const keep = share.map((count, layer) => Math.min(count, held[layer] ?? 0));
  // Where everything is kept, nothing is scored, and nothing need be gathered.
  const evicts = request.scores || keep.some((count, layer) => count < (held[layer] ?? 0));
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
  { engine, sequence: { cache }, policy, scores: wanted, now, beforeCompaction }: ReadRequest,
  keep: readonly number[],
  gathered: Gathered,
): Promise<Evicted> {
  const kept: Int32Array[][] = [];
  const scores: Float32Array[] = [];
  // All layers are chosen before the first is compacted: a policy that fails leaves a whole cache.
  for (const [layer, count] of keep.entries()) {
    const view = layerView(cache, engine, layer, gathered);
    if (wanted && "score" in policy) scores.push(await scoreLayer(policy, view));
    kept.push([...await evictLayer(policy, view, count)]);
  }
  const start = now();
  const dropping = kept.flatMap((heads, layer) =>
    (heads[0]?.length ?? 0) < cache.length(layer) ? [{ layer, heads }] : []
  );
  if (dropping.length > 0) beforeCompaction?.();
  for (const { layer, heads } of dropping) cache.compact(layer, heads);
  return { kept, scores, compaction: now() - start };
}
