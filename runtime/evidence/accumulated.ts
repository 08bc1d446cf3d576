import type { Policy } from "../../policies/policy.ts";
import { globalLayersOf } from "../cache/global_layers.ts";
import type { KvCache } from "../cache/kv_cache.ts";
import type { Engine } from "../engine/engine.ts";
import type { Rows } from "../engine/rows.ts";
import { predicts } from "../evict/rounds.ts";

/**
 * Attention that held tokens have received since they were read, where the cache lives, per global layer. It
 * outlives a reading: whoever holds it owns it.
 */
export type AttentionSums = readonly Rows[];

/** The same sums for another owner. */
export function sharedSums(sums: AttentionSums | undefined): AttentionSums | undefined {
  return sums?.map((rows) => rows.shared());
}

/** Sums from main memory, where an engine's caches live. */
export async function broughtSums(
  sums: AttentionSums | undefined,
  { rows: bring }: Pick<Engine, "rows">,
): Promise<AttentionSums | undefined> {
  if (!sums) return undefined;
  using made = new DisposableStack();
  const there: Rows[] = [];
  for (const rows of sums) there.push(made.use(await bring(await rows.floats(), rows.lengths)));
  made.move();
  return there;
}

/** Gives sums up. */
export function freeSums(sums: AttentionSums | undefined): void {
  sums?.forEach((rows) => rows[Symbol.dispose]());
}

/**
 * Adds what tokens received earlier to what all that are held received just now.
 *
 * @param scope Owns the sums.
 */
export async function withEarlier(
  attentionSums: readonly Rows[],
  earlier: AttentionSums | undefined,
  scope: DisposableStack,
): Promise<readonly Rows[]> {
  if (!earlier) return attentionSums;
  const totals: Rows[] = [];
  for (const [index, rows] of attentionSums.entries()) {
    const before = earlier[index];
    totals.push(before ? scope.use(await rows.plus(before)) : rows);
  }
  return totals;
}

/**
 * What the tokens that are kept have received: 0 for soft tokens that restore, which were not there to be
 * attended to.
 *
 * @param kept `[global layer][KV head]`: indices.
 */
export async function sumsOfKept(
  attentionSums: readonly Rows[],
  kept: readonly (readonly Int32Array[])[],
): Promise<AttentionSums> {
  using made = new DisposableStack();
  const left: Rows[] = [];
  for (const [layer, rows] of attentionSums.entries()) {
    left.push(made.use(await rows.columns(kept[layer] ?? [])));
  }
  made.move();
  return left;
}

/**
 * What a policy that accumulates attention while it reads or an answer is written takes along from an
 * eviction: what the tokens that are kept have received. The caller owns it.
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
  cache: KvCache,
): Promise<AttentionSums | undefined> {
  const { phases } = policy;
  if (!attention || !(phases?.decoding || phases?.reading || predicts(policy))) return undefined;
  return await sumsOfKept(attention, globalLayersOf(cache).map((layer) => kept[layer] ?? []));
}
