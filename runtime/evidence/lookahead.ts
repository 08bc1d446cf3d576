import type { Evidence } from "../../policies/policy.ts";
import { applyKept } from "../evict/apply.ts";
import { chooseKept } from "../evict/choose.ts";
import { greedyTokens } from "./greedy.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import type { Engine, Gathered, StepQueries } from "../engine/engine.ts";
import type { Sequence } from "../engine/sequence.ts";
import type { Rows } from "../engine/rows.ts";

/** Evidence of pseudo queries. */
export type LookaheadEvidence = Extract<Evidence, { kind: "lookahead" }>;

/** What a draft is decoded from. */
export interface DraftRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  /** Logits of the last token read. */
  readonly logits: Float32Array;
  /** Tokens that each global layer keeps. */
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
  /** Summed over the queries, per global layer. */
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
  for (const [index, layer] of globalLayersOf(cache).entries()) {
    const following = { cache: drafted.cache, queries: drafted.queries[index] ?? [] };
    attentionSums.push(scope.use(await engine.followingAttention(cache, layer, following)));
  }
  return { queries: drafted.queries[0]?.length ?? 0, attentionSums };
}

interface Drafted extends Disposable {
  /** Its last entries are the draft's. */
  readonly cache: KvCache;
  /** Rotated queries of each of the draft's tokens, in each global layer. */
  readonly queries: readonly (readonly StepQueries[])[];
}

async function draftAnswer(
  steps: number,
  draft: LookaheadEvidence["draft"],
  { engine, sequence, logits, keep, gathered, signal }: DraftRequest,
): Promise<Drafted> {
  const { cache, position, planned } = sequence;
  const rounds = [{ policy: draft, keep }];
  const kept = await chooseKept({ engine, sequence, rounds, gathered: [gathered] });
  using held = new DisposableStack();
  const { merging } = draft;
  // Values that are merged are made of what is dropped.
  const apart = cache.home === "host" && !merging;
  const fork = held.use(apart ? cache.forkKept(kept) : await cache.fork());
  const drafted: Sequence = { cache: fork, position, planned };
  // The draft's queries are shown to the whole cache: its keys stay at their own positions.
  if (!apart) await applyKept(drafted, kept, { engine, positions: undefined, merging });
  const globals = globalLayersOf(cache);
  const queries: StepQueries[][] = globals.map(() => []);
  const start = { engine, sequence: drafted, logits, steps, signal };
  const draftTokens = greedyTokens(start, {
    queries: true,
    temporary: true,
    // A query is made when its token is read: that of the last one judges too.
    readLast: true,
    onRead(_, step) {
      for (const [layer, ofLayer] of step.queries.entries()) {
        held.use(ofLayer);
        queries[globals.indexOf(layer)]?.push(ofLayer);
      }
    },
  });
  for await (const _ of draftTokens);
  const owned = held.move();
  return { cache: fork, queries, [Symbol.dispose]: () => owned.dispose() };
}
