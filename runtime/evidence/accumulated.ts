import type { Policy } from "../../policies/policy.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import type { Engine } from "../engine/engine.ts";
import { emptyRows, rowsOfHead } from "../engine/packed_rows.ts";
import { predicts } from "../evict/rounds.ts";
import type { Rows } from "../engine/rows.ts";

/**
 * Attention that held tokens have received since they were read, in main memory: rows of query heads,
 * per global layer. It outlives a reading.
 */
export type AttentionSums = readonly Float32Array[];

/**
 * Adds what tokens received earlier to what all that are held received just now.
 *
 * @param group Query heads of a KV head.
 * @param scope Owns the sums.
 */
export async function withEarlier(
  attentionSums: readonly Rows[],
  earlier: AttentionSums | undefined,
  { engine, cache, group, scope }: {
    readonly engine: Pick<Engine, "rows">;
    readonly cache: KvCache;
    readonly group: number;
    readonly scope: DisposableStack;
  },
): Promise<readonly Rows[]> {
  if (!earlier) return attentionSums;
  const globals = globalLayersOf(cache);
  const totals: Rows[] = [];
  for (const [index, rows] of attentionSums.entries()) {
    const held = cache.lengths(globals[index] ?? 0);
    const sums = earlier[index] ?? new Float32Array();
    // All heads have got the same number of tokens since.
    const total = held.reduce((sum, length) => sum + length, 0);
    const since = (total - sums.length / group) / held.length;
    using before = await engine.rows(sums, held.map((length) => length - since));
    totals.push(scope.use(await rows.plus(before)));
  }
  return totals;
}

/**
 * What the tokens that are kept have received.
 *
 * @param lengths What each KV head of a global layer held before.
 * @param kept `[global layer][KV head]`: indices.
 * @param group Query heads of a KV head.
 */
export function sumsOfKept(
  attentionSums: AttentionSums,
  lengths: readonly (readonly number[])[],
  kept: readonly (readonly Int32Array[])[],
  group: number,
): AttentionSums {
  return attentionSums.map((rows, layer) => {
    const heads = kept[layer] ?? [];
    const left = emptyRows(group, heads.map((indices) => indices.length));
    let to = 0;
    for (const [head, indices] of heads.entries()) {
      const held = lengths[layer]?.[head] ?? 0;
      const ofHead = rowsOfHead(rows, group, lengths[layer] ?? [], head);
      for (let row = 0; row < group; row++) {
        for (const index of indices) {
          // A soft token that restores was not there to be attended to.
          left[to++] = index < held ? ofHead[row * held + index] ?? 0 : 0;
        }
      }
    }
    return left;
  });
}

/**
 * What a policy that accumulates attention while it reads or an answer is written takes along from an
 * eviction: what the tokens that are kept have received, in main memory.
 *
 * @param attention Accumulated attention that it judged by, of all tokens that were held, per global
 * layer; absent where it judged by none.
 * @param kept `[layer][KV head]`: indices.
 * @returns `undefined` for a policy that evicts once, unless its scores are made when tokens are read.
 */
export async function sumsToCarry(
  policy: Policy,
  attention: readonly Rows[] | undefined,
  kept: readonly (readonly Int32Array[])[],
  { cache, group }: { readonly cache: KvCache; readonly group: number },
): Promise<AttentionSums | undefined> {
  const { phases } = policy;
  if (!attention || !(phases?.decoding || phases?.reading || predicts(policy))) return undefined;
  const sums: Float32Array[] = [];
  for (const rows of attention) sums.push(await rows.floats());
  const ofGlobal = globalLayersOf(cache).map((layer) => kept[layer] ?? []);
  return sumsOfKept(sums, attention.map(({ lengths }) => lengths), ofGlobal, group);
}
