import {
  createQueryAttentionKernel,
  type FollowingQueries,
} from "../../kernels/query_attention.ts";
import type { Evidence } from "../../policies/policy.ts";
import { evictViews } from "../evict/evict_layer.ts";
import { greedyToken } from "../sampling/greedy.ts";
import type { Sequence } from "./engine.ts";
import { type EvidenceRequest, gatherEvidence } from "./evidence.ts";
import { columnsOfHead, joined, keysByHead } from "./keys_by_head.ts";
import { layerViews } from "./layer_view.ts";
import { pause } from "./pause.ts";

/** Evidence of pseudo queries. */
export type LookaheadEvidence = Extract<Evidence, { kind: "lookahead" }>;

/** Attention of the pseudo queries to a whole cache. */
export interface LookaheadAttention {
  /** Pseudo queries: fewer than asked for where the draft ended early. */
  readonly queries: number;
  /** Summed over the queries, `[heads × length]` per layer. */
  readonly received: readonly Float32Array[];
}

/**
 * Decodes a draft of the answer on a copy of the cache that the draft policy evicted, and shows its
 * queries to the whole cache. The draft's tokens are thrown away: the sequence is left as it was.
 */
export async function lookaheadAttention(
  { steps, draft }: LookaheadEvidence,
  request: EvidenceRequest & { readonly keep: readonly number[] },
): Promise<LookaheadAttention> {
  const { engine: { config, threads }, sequence: { cache } } = request;
  const { heads, kvHeads, headDim } = config;
  const pseudo = await draftQueries(steps, draft, request);
  await using kernel = await createQueryAttentionKernel(config, threads);
  const received: Float32Array[] = [];
  for (const [layer, following] of pseudo.entries()) {
    const rows: Float32Array[] = [];
    for (const { keys, head } of keysByHead(cache, layer)) {
      if (head === undefined) rows.push(await kernel.run(keys, following));
      else {
        const width = heads / kvHeads * headDim;
        const ofHead = {
          queries: columnsOfHead(following.queries, { kvHeads, width, head }),
          keys: columnsOfHead(following.keys, { kvHeads, width: headDim, head }),
        };
        rows.push(await kernel.run(keys, ofHead, 1));
      }
    }
    received.push(joined(rows));
  }
  const width = heads * headDim;
  return { queries: (pseudo[0]?.queries.length ?? 0) / width, received };
}

async function draftQueries(
  steps: number,
  draft: LookaheadEvidence["draft"],
  request: EvidenceRequest & { readonly keep: readonly number[] },
): Promise<readonly FollowingQueries[]> {
  const { engine, sequence, keep, prefilled, signal } = request;
  const { cache, position, planned } = sequence;
  const gathered = await gatherEvidence(draft.evidence, request);
  using fork = cache.fork();
  for (const [layer, count] of keep.entries()) {
    const views = layerViews(cache, engine, layer, gathered);
    fork.compact(layer, await evictViews(draft, views, count));
  }
  const drafted: Sequence = { cache: fork, position, planned };
  const queries: Float32Array[][] = keep.map(() => []);
  const keys: Float32Array[][] = keep.map(() => []);
  let logits = prefilled.logits;
  for (let step = 0; step < steps; step++) {
    const id = greedyToken(logits);
    await pause(signal);
    const outputs = await engine.advance(drafted, { ids: [id], queries: true });
    outputs.queries.forEach((ofLayer, layer) => queries[layer]?.push(ofLayer.slice()));
    outputs.entries.forEach((entry, layer) => keys[layer]?.push(entry.keys.slice()));
    if (engine.config.eosIds.includes(id)) break;
    logits = outputs.logits.slice();
  }
  return queries.map((ofLayer, layer) => ({
    queries: joined(ofLayer),
    keys: joined(keys[layer] ?? []),
  }));
}
