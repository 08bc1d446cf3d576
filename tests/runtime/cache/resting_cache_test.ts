import { assert, assertEquals } from "@std/assert";
import { createPrng } from "../../../policies/_random.ts";
import { createHostCache } from "../../../runtime/cache/host_cache.ts";
import type { HostKvCache } from "../../../runtime/cache/kv_cache.ts";

const KV_HEADS = 2;
const HEAD_DIM = 32;
const SHAPE = {
  layers: 2,
  kvHeads: KV_HEADS,
  headDim: HEAD_DIM,
  windows: [undefined, 6],
  slack: 4,
};

/** A cache with a global layer and one that slides. */
function someCache(tokens: number): HostKvCache {
  const cache = createHostCache(SHAPE);
  append(cache, tokens, 0);
  return cache;
}

function append(cache: HostKvCache, tokens: number, position: number): void {
  const next = createPrng(position + 1, 9);
  const rows = () =>
    Float32Array.from({ length: tokens * KV_HEADS * HEAD_DIM }, () => next() * 2 - 1);
  for (let layer = 0; layer < cache.layers; layer++) cache.append(layer, rows(), rows(), position);
}

/** The same numbers as a cache that has come to rest once, in one that never does again. */
function rounded(cache: HostKvCache, precision: "fp16" | "int8"): HostKvCache {
  const copy = cache.fork();
  copy.rest(precision);
  // Reading it wakes it.
  contentOf(copy);
  return copy;
}

function contentOf(cache: HostKvCache) {
  return Array.from({ length: cache.layers }, (_, layer) => ({
    entries: cache.entries(layer),
    lengths: cache.lengths(layer),
    // Between the segments of ragged heads anything may lie.
    rows: cache.segments(layer) ? [] : [cache.keys(layer).slice(), cache.values(layer).slice()],
    positions: cache.positions(layer),
  }));
}

/** Everything that can be done to a cache. */
const WORK: Readonly<Record<string, (cache: HostKvCache) => HostKvCache | void>> = {
  append: (cache) => append(cache, 3, 20),
  reserve: (cache) => cache.reserve(40),
  "compact alike": (cache) => cache.compact(0, [Int32Array.of(1, 4, 9), Int32Array.of(0, 2, 3)]),
  "compact to ragged heads": (cache) =>
    cache.compact(0, [Int32Array.of(1, 4, 9, 11), Int32Array.of(3)]),
  rollback: (cache) => {
    const { lengths } = cache.mark();
    cache.rollback({ lengths: lengths.map((length) => length - 3) });
  },
  rerotate: (cache) => {
    const frequencies = Float32Array.from({ length: HEAD_DIM / 2 }, (_, at) => 1 / (at + 1));
    for (let layer = 0; layer < cache.layers; layer++) {
      const to = cache.lengths(layer).map((length) =>
        Int32Array.from({ length }, (_, at) => 30 - length + at)
      );
      cache.rerotate(layer, { frequencies, to });
    }
  },
  fork: (cache) => cache.fork(),
  "fork at a mark": (cache) => {
    const { lengths } = cache.mark();
    return cache.fork({ lengths: lengths.map((length) => length - 2) });
  },
};

for (const precision of ["fp16", "int8"] as const) {
  for (const [name, work] of Object.entries(WORK)) {
    Deno.test(`a cache at rest in ${precision} does what the rounded one does: ${name}`, () => {
      for (const ragged of [false, true]) {
        if (ragged && name.startsWith("compact")) continue;
        using cache = someCache(20);
        if (ragged) {
          cache.compact(0, [
            Int32Array.from({ length: 15 }, (_, at) => at + 5),
            Int32Array.from({ length: 9 }, (_, at) => at + 11),
          ]);
        }
        using expected = rounded(cache, precision);
        cache.rest(precision);
        const made = work(cache) ?? cache;
        const wanted = work(expected) ?? expected;
        assertEquals(contentOf(made), contentOf(wanted), ragged ? "ragged" : "alike");
        if (made !== cache) made[Symbol.dispose]();
        if (wanted !== expected) wanted[Symbol.dispose]();
      }
    });
  }
}

Deno.test("a cache at rest tells less memory, its forks too, until they work", () => {
  using cache = someCache(64);
  using whole = cache.fork();
  cache.rest("int8");
  const { bytes } = cache;
  assert(bytes < whole.bytes * 0.33, `${bytes} of ${whole.bytes}`);
  assertEquals([cache.length(0), cache.mark(), cache.window(1)], [64, whole.mark(), 6]);
  assertEquals(cache.bytes, bytes);
  using fork = cache.fork();
  assertEquals([fork.bytes <= bytes, cache.bytes], [true, bytes]);
  cache.rest("int8");
  assertEquals(cache.bytes, bytes);
  fork.keys(0);
  assert(fork.bytes > bytes * 2, "one layer is awake");
  cache.rest("fp16");
  assert(cache.bytes > bytes && cache.bytes < whole.bytes * 0.6, `${cache.bytes}`);
});

Deno.test("what is held for a mark outlives rest, and rolls back to the rounded numbers", () => {
  using cache = someCache(20);
  using expected = rounded(cache, "int8");
  cache.rest("int8");
  const mark = cache.mark();
  using _hold = cache.hold(mark);
  append(cache, 30, 20);
  cache.rest("int8");
  assert(cache.canRollBack(mark));
  cache.rollback(mark);
  assertEquals(contentOf(cache), contentOf(expected));
});

Deno.test("a cache that is freed at rest is freed", () => {
  const cache = someCache(20);
  cache.rest("fp16");
  cache[Symbol.dispose]();
  assertEquals(cache.bytes, 0);
});
