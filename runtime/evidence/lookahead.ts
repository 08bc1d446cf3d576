import type { Evidence } from "../../policies/policy.ts";
import { evictViews } from "../evict/choose.ts";
import { greedyToken } from "../sampling/greedy.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import type { Engine, Gathered } from "../engine/engine.ts";
import type { Sequence } from "../engine/sequence.ts";
import { joined } from "../engine/host/keys_by_head.ts";
import { pause } from "../engine/pause.ts";
import type { Rows } from "../engine/rows.ts";

/** Evidence of pseudo queries. */
export type LookaheadEvidence = Extract<Evidence, { kind: "lookahead" }>;

/** What a draft is decoded from. */
export interface DraftRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  /** Logits of the last token read. */
  readonly logits: Float32Array;
  /** Tokens that each layer keeps. */
  readonly keep: readonly number[];
  /** What the draft policy judges by. */
  readonly gathered: Gathered;
  /** Owns what is gathered. */
  readonly scope: DisposableStack;
  readonly signal: AbortSignal | undefined;
}

/** Attention of the pseudo queries to a whole cache. */
export interface LookaheadAttention {
  /** Pseudo queries: fewer than asked for where the draft ended early. */
  readonly queries: number;
  /** Summed over the queries, per layer. */
  readonly attentionSums: readonly Rows[];
}

/**
 * Decodes a draft of the answer on a copy of the cache that the draft policy evicted, and shows its
 * queries to the whole cache. The draft's tokens are thrown away: the sequence is left as it was.
 */
export async function lookaheadAttention(
  { steps, draft }: LookaheadEvidence,
  request: DraftRequest,
): Promise<LookaheadAttention> {
  const { engine, sequence: { cache }, scope } = request;
  using drafted = await draftAnswer(steps, draft, request);
  const attentionSums: Rows[] = [];
  for (const [layer, queries] of drafted.queries.entries()) {
    const following = { cache: drafted.cache, queries };
    attentionSums.push(scope.use(await engine.followingAttention(cache, layer, following)));
  }
  const { heads, headDim } = engine.config;
  return { queries: (drafted.queries[0]?.length ?? 0) / (heads * headDim), attentionSums };
}

interface Drafted extends Disposable {
  /** Its last entries are the draft's. */
  readonly cache: KvCache;
  /** Rotated queries of the draft in each layer, `[tokens, heads · headDim]`. */
  readonly queries: readonly Float32Array[];
}

async function draftAnswer(
  steps: number,
  draft: LookaheadEvidence["draft"],
  request: DraftRequest,
): Promise<Drafted> {
  const { engine, sequence, keep, gathered, signal } = request;
  const { cache, position, planned } = sequence;
  using held = new DisposableStack();
  const fork = held.use(await cache.fork());
  for (const [layer, count] of keep.entries()) {
    const views = engine.views(cache, layer, gathered);
    await fork.compact(layer, await evictViews(draft, views, count));
  }
  const drafted: Sequence = { cache: fork, position, planned };
  const queries: Float32Array[][] = keep.map(() => []);
  let { logits } = request;
  for (let step = 0; step < steps; step++) {
    const id = greedyToken(logits);
    await pause(signal);
    const outputs = await engine.advance(drafted, { ids: [id], queries: true });
    for (const [layer, ofLayer] of outputs.queries.entries()) {
      using asked = ofLayer;
      queries[layer]?.push((await asked.floats()).slice());
    }
    if (engine.config.eosIds.includes(id)) break;
    logits = outputs.logits.slice();
  }
  const kept = held.move();
  return { cache: fork, queries: queries.map(joined), [Symbol.dispose]: () => kept.dispose() };
}
