import type { CacheMark, KvCache } from "../../../runtime/cache/kv_cache.ts";

/** What a layer must hold: positions per KV head. */
export type HeldPositions = number[][];

/** How a compaction chooses: all heads the same tokens, as many, or other numbers. */
export type HeadChoice = "same" | "others" | "ragged";

/** `count` ascending indices below `length`, other ones for each seed. */
export function pick(length: number, count: number, seed: number): Int32Array {
  const order = Array.from({ length }, (_, index) => index)
    .sort((a, b) => Math.sin(a * 7.1 + seed) - Math.sin(b * 7.1 + seed));
  return Int32Array.from(order.slice(0, count)).sort();
}

/** Tokens that heads of such lengths keep. */
export function chosen(held: readonly number[], heads: HeadChoice, seed: number): Int32Array[] {
  const least = Math.min(...held);
  return held.map((length, head) => {
    const most = heads === "ragged" ? length : least;
    const count = (seed + (heads === "ragged" ? 3 * head : 0)) % (most + 1);
    return pick(length, count, seed + (heads === "same" ? 0 : head));
  });
}

/** Positions that are left where some are kept. */
export function left(
  held: HeldPositions = [],
  kept: readonly Int32Array[],
): HeldPositions {
  return held.map((positions, head) =>
    Array.from(kept[head] ?? [], (index) => positions[index] ?? NaN)
  );
}

/** Goes on with a fork of a cache, which has to do without the cache from then on. */
export function replaced<Cache extends KvCache>(stack: DisposableStack, old: Cache, fork: Cache) {
  stack.use(fork);
  old[Symbol.dispose]();
  return fork;
}

/** Marks a cache, or rolls it and what it must hold back to its mark; gives the mark that it has. */
export function markOrRollBack(
  what: "mark" | "rollback",
  cache: KvCache,
  model: readonly HeldPositions[],
  mark: CacheMark | undefined,
): CacheMark | undefined {
  if (what === "mark") return cache.mark();
  if (mark === undefined) return undefined;
  for (const [index, heads] of model.entries()) {
    const dropped = cache.length(index) - (mark.lengths[index] ?? NaN);
    for (const head of heads) head.length -= dropped;
  }
  cache.rollback(mark);
  return mark;
}
