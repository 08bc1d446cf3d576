import type {
  Evidence,
  LayerView,
  MaybePromise,
  ModelFacts,
  Policy,
  ScorerPolicy,
  SoftTokens,
} from "../../policies/policy.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import { cacheShapeOf, type Engine, type Gathered } from "../engine/engine.ts";
import type { Sequence } from "../engine/sequence.ts";
import { type AttentionSums, sumsToCarry } from "../evidence/accumulated.ts";
import { softTokensFor } from "../evidence/soft.ts";
import { observePrompt } from "../evidence/observe.ts";
import type { PromptStatistics } from "../evidence/statistics.ts";
import { tokensRead } from "../rotary/position_map.ts";
import { checkRerotatable } from "../rotary/rerotate.ts";
import { applyKept } from "./apply.ts";
import type { KeepRequest } from "./allocate.ts";
import { type Budget, isPerLayer, keepCount } from "./budget.ts";
import { chooseKept, type KeptTokens } from "./choose.ts";
import { hasThreshold, scoreLayer } from "./contract.ts";
import { fittedTo } from "./fitted.ts";
import { countPinned, type TokenSpan } from "./pinned.ts";
import { restoringTokens } from "./restore.ts";
import { accumulating, predicts, type Round, roundsOf } from "./rounds.ts";

/** What {@linkcode readPrompt} is to do. */
export interface ReadRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  readonly ids: readonly number[];
  /** What the sequence has read before, evicted tokens too. @default {nothing} */
  readonly before?: readonly number[] | undefined;
  readonly policy: Policy;
  readonly budget: Budget;
  readonly facts: ModelFacts;
  readonly chunk: number;
  /** Tokens of the text that no eviction may take. */
  readonly pinned?: readonly TokenSpan[] | undefined;
  /** Which budgets give way to what a policy protects. @default {"none"} */
  readonly raise?: KeepRequest["raise"];
  /** Whether the policy's scores are wanted. */
  readonly scores: boolean;
  readonly now: () => number;
  /** What held tokens received before: added where attention is accumulated. */
  readonly earlier?: AttentionSums | undefined;
  /** Statistics of the queries before: those of what is read are added to them. */
  readonly statistics?: PromptStatistics | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Whether an answer follows: where none does, no draft of one judges. @default {true} */
  readonly answerFollows?: boolean | undefined;
  /** Called before the cache is compacted, if it is: the last chance to copy it. */
  readonly beforeCompaction?: (() => MaybePromise<void>) | undefined;
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
   * first prompt these are its positions. A layer that slides keeps all that it holds. Soft tokens that
   * restore are not among them.
   */
  readonly kept: KeptTokens;
  /**
   * Scores `[kvHeads × held]` per layer, those of one KV head behind those of the one before; empty
   * unless wanted, or where the policy has none, and of layers that slide.
   */
  readonly scores: readonly Float32Array[];
  /** Allocated bytes of the cache. */
  readonly bytes: { readonly before: number; readonly after: number };
  /** Milliseconds of each phase. */
  readonly times: ReadTimes;
  /** The soft tokens that judged or restored, if any did. */
  readonly softTokens?: SoftTokens;
  /** What the policy has to say about this model. */
  readonly note?: string;
  /** Whether a layer kept more than its budget, because the policy and what is pinned want it. */
  readonly raised: boolean;
  /** Bytes of arrays that a policy was shown off a device, for want of a kernel. */
  readonly copied: number;
  /** What the kept tokens have received, for a policy that goes on to accumulate it: the caller's to free. */
  readonly attentionSums?: AttentionSums;
}

/**
 * Reads a prompt behind what a sequence holds, and evicts what the policy does not keep of all of it.
 * Where it fails, the sequence may hold a part of the prompt, and nothing was evicted.
 */
export async function readPrompt(given: ReadRequest): Promise<Reading> {
  const policy = await fittedTo(given.policy, given.facts);
  const request = { ...given, policy };
  const { engine, sequence, ids, before: earlierIds, facts, chunk, pinned } = request;
  const { earlier, statistics, now, signal } = request;
  const { cache } = sequence;
  const { config } = engine;
  if (policy.positions) checkRerotatable(config, `evict with policy '${policy.name}'`);
  const restoring = await restoringTokens(policy, facts, config);
  const { rounds, evicts, raised } = await planned(request, restoring?.count);
  const { evidence, softTokens } = await settled(evicts ? rounds : [], request, restoring);
  const start = now();
  using scope = new DisposableStack();
  const reading = {
    ...{ engine, sequence, ids, before: earlierIds },
    ...{ evidence, facts, chunk, statistics, scope, signal },
    room: restoring?.count,
    answerFollows: request.answerFollows,
  };
  const observed = await observePrompt({ ...reading, onProgress: request.onProgress });
  const read = now();
  const before = cache.bytes;
  const gathered: Gathered[] = [];
  for (const [index, one] of evidence.entries()) {
    const { keep = [] } = rounds[index] ?? {};
    gathered.push(await observed.gather(one, { keep, earlier }));
  }
  const judging = now();
  let copied = 0;
  const onCopy = (bytes: number) => void (copied += bytes);
  const scores = request.scores && "score" in policy
    ? await scoresOf(policy, engine, cache, gathered.at(-1), onCopy)
    : [];
  const kept = await chooseKept({ engine, sequence, rounds, gathered, pinned, onCopy });
  const chosen = now();
  const { positions, merging } = policy;
  const { beforeCompaction } = request;
  const applied = { engine, positions, merging, restoring, beforeCompaction };
  const stays = await applyKept(sequence, kept, applied);
  const end = now();
  const summing = rounds.findIndex((round) => round.policy === accumulating(policy));
  const { attention } = gathered[summing] ?? {};
  const attentionSums = await sumsToCarry(policy, attention, stays, cache);
  return {
    logits: observed.logits,
    tokens: ids.length,
    kept,
    scores,
    bytes: { before, after: cache.bytes },
    times: {
      prefill: read - start,
      evidence: judging - read,
      selection: chosen - judging,
      compaction: end - chosen,
    },
    ...(softTokens ? { softTokens } : {}),
    ...(evicts && policy.note !== undefined ? { note: policy.note } : {}),
    raised,
    copied,
    ...(attentionSums ? { attentionSums } : {}),
  };
}

interface Plan {
  readonly rounds: readonly Round[];
  /** Whether anything is scored: where everything is kept, nothing need be gathered. */
  readonly evicts: boolean;
  readonly raised: boolean;
}

async function planned(
  { engine, sequence, ids, policy, budget, pinned = [], raise = "none", scores }: ReadRequest,
  restored: number | undefined,
): Promise<Plan> {
  const { cache } = sequence;
  const shape = cacheShapeOf(engine);
  const length = tokensRead(sequence) + ids.length;
  const held = globalLayersOf(cache).map((layer) => cache.length(layer) + ids.length);
  const given = { length, budget, shape, raise, pinned: countPinned(pinned, length) };
  const request = { ...given, ...(restored === undefined ? {} : { restored }) };
  const rounds = await roundsOf(policy, request, held);
  const keep = rounds.at(-1)?.keep ?? held;
  const scored = scores && held.length > 0;
  const cut = keep.some((count, index) => count < (held[index] ?? 0));
  const stays = cut ? restored ?? 0 : 0;
  const total = keep.reduce((sum, count) => sum + count + stays, 0);
  const raised = policy.evicts !== false && !isPerLayer(budget) && raise !== "none" &&
    total > keep.length * keepCount(length, budget, shape);
  return {
    rounds,
    raised,
    evicts: scored || cut || (held.length > 0 && (hasThreshold(policy) || predicts(policy))),
  };
}

interface Settled {
  /** Of each round, with soft tokens that were read already. */
  readonly evidence: readonly Evidence[];
  /** The soft tokens that judge or restore, if any do; the untrained ones first. */
  readonly softTokens: SoftTokens | undefined;
}

/** Reads soft tokens before the prompt, so that a file that does not fit costs no reading. */
async function settled(
  rounds: readonly Round[],
  { facts, engine: { config } }: ReadRequest,
  restoring: SoftTokens | undefined,
): Promise<Settled> {
  const softs: SoftTokens[] = restoring && rounds.length > 0 ? [restoring] : [];
  const evidence: Evidence[] = [];
  for (const { policy } of rounds) {
    const soft = await softTokensFor(policy.evidence, facts, config);
    if (soft) softs.push(soft);
    const { evidence: one } = policy;
    evidence.push(soft && one.kind === "soft" ? { ...one, tokens: () => soft } : one);
  }
  return { evidence, softTokens: softs.find(({ trained }) => !trained) ?? softs[0] };
}

async function scoresOf(
  policy: ScorerPolicy,
  engine: Engine,
  cache: KvCache,
  gathered: Gathered = {},
  onCopy: (bytes: number) => void,
): Promise<readonly Float32Array[]> {
  const scores: Float32Array[] = [];
  for (let layer = 0; layer < cache.layers; layer++) {
    scores.push(
      cache.window(layer) === undefined
        ? await scoreViews(policy, engine.views(cache, layer, gathered, onCopy))
        : new Float32Array(),
    );
  }
  return scores;
}

async function scoreViews(
  policy: ScorerPolicy,
  views: readonly LayerView[],
): Promise<Float32Array> {
  const scores: number[] = [];
  for (const view of views) scores.push(...await scoreLayer(policy, view));
  return Float32Array.from(scores);
}
