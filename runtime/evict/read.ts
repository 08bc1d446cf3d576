import type {
  Evidence,
  LayerView,
  MaybePromise,
  ModelFacts,
  Policy,
  ScorerPolicy,
  SoftTokens,
} from "../../policies/policy.ts";
import type { Budget } from "./budget.ts";
import { scoreLayer } from "./choose.ts";
import type { Engine } from "../engine/engine.ts";
import type { Sequence } from "../engine/sequence.ts";
import { type Gathered, gatherEvidence, softTokensFor } from "../evidence/gather.ts";
import { prefill } from "../engine/prefill.ts";
import { countPinned, pinnedEntries, type TokenSpan } from "./pinned.ts";
import { gatherPromptStatistics } from "../evidence/statistics.ts";
import { type AttentionSums, sumsOfKept } from "../evidence/accumulated.ts";
import { checkRerotatable, rerotateKeys } from "../rotary/rerotate.ts";
import { tokensRead } from "../rotary/position_map.ts";
import { evictRounds, type Round, roundsOf } from "./rounds.ts";
import { observationForAll } from "../evidence/observe.ts";

/** What {@linkcode readPrompt} is to do. */
export interface ReadRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  readonly ids: readonly number[];
  readonly policy: Policy;
  readonly budget: Budget;
  readonly facts: ModelFacts;
  readonly chunk: number;
  /** Tokens of the text that no eviction may take. */
  readonly pinned?: readonly TokenSpan[];
  /** Whether the policy's scores are wanted. */
  readonly scores: boolean;
  readonly now: () => number;
  /** What held tokens received before: added where attention is accumulated. */
  readonly earlier?: AttentionSums;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
  /** Called before the cache is compacted, if it is: the last chance to copy it. */
  readonly beforeCompaction?: () => MaybePromise<void>;
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
  /** Scores `[kvHeads × held]` per layer, those of one KV head behind those of the one before; empty unless wanted, or where the policy has none. */
  readonly scores: readonly Float32Array[];
  /** Allocated bytes of the cache. */
  readonly bytes: { readonly before: number; readonly after: number };
  /** Milliseconds of each phase. */
  readonly times: ReadTimes;
  /** The soft tokens that judged, if any did. */
  readonly softTokens?: SoftTokens;
  /** Bytes of arrays that a policy was shown off a device, for want of a kernel. */
  readonly copied: number;
  /** What the kept tokens have received, for a policy that goes on to accumulate it. */
  readonly attentionSums?: AttentionSums;
}

/**
 * Reads a prompt behind what a sequence holds, and evicts what the policy does not keep of all of it.
 * Where it fails, the sequence may hold a part of the prompt, and nothing was evicted.
 */
export async function readPrompt(request: ReadRequest): Promise<Reading> {
  const { engine, sequence, ids, policy, now } = request;
  const { cache } = sequence;
  const { numberBytes, config: { layers, kvHeads, headDim } } = engine;
  if (policy.positions) checkRerotatable(engine.config, `evict with policy '${policy.name}'`);
  const held = Array.from({ length: layers }, (_, layer) => cache.length(layer) + ids.length);
  const length = tokensRead(sequence) + ids.length;
  const rounds = await roundsOf(
    policy,
    { length, budget: request.budget, shape: { layers, kvHeads, headDim, numberBytes } },
    held,
    countPinned(request.pinned ?? [], length),
  );
  const keep = rounds.at(-1)?.keep ?? held;
  // Where everything is kept, nothing is scored, and nothing need be gathered.
  const evicts = request.scores || keep.some((count, layer) => count < (held[layer] ?? 0));
  const softs: SoftTokens[] = [];
  const wanted: Evidence[] = [];
  for (const { policy: { evidence } } of evicts ? rounds : []) {
    const soft = await softTokensFor(evidence, request.facts, engine.config);
    if (soft) softs.push(soft);
    wanted.push(soft ? { kind: "soft", tokens: () => soft } : evidence);
  }
  const start = now();
  using scope = new DisposableStack();
  const statistics = gatherPromptStatistics(wanted, engine);
  const prefilled = await prefill(engine, sequence, ids, {
    ...request,
    ...statistics,
    scope,
    observe: observationForAll(wanted.map((evidence) => ({ evidence }))),
  });
  const read = now();
  const before = cache.bytes;
  const found: Gathered[] = [];
  for (const [index, evidence] of wanted.entries()) {
    const { keep = held } = rounds[index] ?? {};
    found.push(await gatherEvidence(evidence, { ...request, prefilled, statistics, keep, scope }));
  }
  const gathered = now();
  const lengths = held.map((_, layer) => cache.lengths(layer));
  const { kept, scores, compaction, copied } = await evict(request, rounds, found);
  const end = now();
  const softTokens = softs.find(({ trained }) => !trained) ?? softs[0];
  const goesOn = policy.evidence.kind === "accumulated" && policy.phases?.decoding !== undefined;
  const attention = goesOn ? await inMainMemory(found.at(-1)?.attention) : undefined;
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
    ...(softTokens ? { softTokens } : {}),
    copied,
    ...(attention
      ? { attentionSums: sumsOfKept(attention, lengths, kept, engine.config.heads / kvHeads) }
      : {}),
  };
}

async function inMainMemory(rows: Gathered["attention"] = []): Promise<AttentionSums> {
  const floats: Float32Array[] = [];
  for (const one of rows) floats.push(await one.floats());
  return floats;
}

interface Evicted {
  readonly kept: Int32Array[][];
  readonly scores: Float32Array[];
  readonly compaction: number;
  readonly copied: number;
}

async function evict(
  { engine, sequence, policy, pinned = [], scores: wanted, now, beforeCompaction }: ReadRequest,
  rounds: readonly Round[],
  gathered: readonly Gathered[],
): Promise<Evicted> {
  const { cache } = sequence;
  const kept: Int32Array[][] = [];
  const scores: Float32Array[] = [];
  let copied = 0;
  // All layers are chosen before the first is compacted: a policy that fails leaves a whole cache.
  for (let layer = 0; layer < cache.layers; layer++) {
    const views = (round: number) =>
      engine.views(cache, layer, gathered[round] ?? {}, (bytes) => copied += bytes);
    if (wanted && "score" in policy) {
      scores.push(await scoreViews(policy, views(rounds.length - 1)));
    }
    const entries = pinned.length > 0 ? pinnedEntries(sequence, pinned, layer) : undefined;
    kept.push([...await evictRounds(rounds, layer, views, entries)]);
  }
  const start = now();
  const dropping = kept.flatMap((heads, layer) =>
    cache.lengths(layer).some((length, head) => (heads[head]?.length ?? 0) < length)
      ? [{ layer, heads }]
      : []
  );
  if (dropping.length > 0) await beforeCompaction?.();
  for (const { layer, heads } of dropping) await cache.compact(layer, heads);
  if (policy.positions && dropping.length > 0) await rerotateKeys(sequence, engine.config);
  return { kept, scores, compaction: now() - start, copied };
}

async function scoreViews(
  policy: ScorerPolicy,
  views: readonly LayerView[],
): Promise<Float32Array> {
  const scores: number[] = [];
  for (const view of views) scores.push(...await scoreLayer(policy, view));
  return Float32Array.from(scores);
}
