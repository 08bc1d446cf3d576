import { assertAlmostEquals, assertEquals } from "@std/assert";
import type { Measurement } from "../../bench/engine/protocol.ts";
import { evictionShare } from "../../bench/eviction_share.ts";

function measurement(
  progress: readonly (readonly [number, number])[],
  ms: number,
  observedFrom: number,
): Measurement {
  const prefillMs = progress.at(-1)?.[1] ?? 0;
  const bytes = { before: 0, after: 0, kept: 0, entries: 0 };
  return {
    prefillMs,
    decodeMs: 1,
    steps: 1,
    cacheBytes: 9,
    eviction: { ms, observedFrom, progress, bytes },
  };
}

const full = measurement([[100, 1000], [200, 2000], [300, 3000]], 0, 300);

Deno.test("evictionShare leaves reading out when nothing was observed", () => {
  const evicted = measurement([[100, 1100], [200, 2300], [300, 3500]], 60, 300);
  assertAlmostEquals(evictionShare(evicted, full) ?? NaN, 60 / 3000);
});

Deno.test("evictionShare counts what observing the last tokens added, from the last common moment", () => {
  // 40 ms slower before that moment, which is not eviction's doing.
  const evicted = measurement([[100, 1000], [200, 2040], [290, 2940], [300, 3090]], 30, 290);
  assertAlmostEquals(evictionShare(evicted, full) ?? NaN, (30 + 50) / 3000);
});

Deno.test("evictionShare counts all of reading that was slower when everything was observed", () => {
  const evicted = measurement([[100, 1100], [200, 2200], [300, 3300]], 30, 0);
  assertAlmostEquals(evictionShare(evicted, full) ?? NaN, (30 + 300) / 3000);
});

Deno.test("evictionShare knows no share of an engine that cannot evict", () => {
  assertEquals(
    evictionShare({ prefillMs: 1, decodeMs: 1, steps: 1, cacheBytes: 9 }, full),
    undefined,
  );
});
