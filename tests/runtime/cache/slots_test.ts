import { assert, assertEquals } from "@std/assert";
import { createHostCache } from "../../../runtime/cache/host_cache.ts";
import type { HostKvCache } from "../../../runtime/cache/kv_cache.ts";
import { append, ROW, rows, SHAPE } from "./_told_rows.ts";

/** What a head holds: its positions, with the keys and values of these. */
function assertHolds(cache: HostKvCache, layer: number, expected: readonly number[][]): void {
  for (const [head, positions] of expected.entries()) {
    const held = cache.head(layer, head);
    const part = (
      all: Float32Array,
    ) => [...all.subarray(head * SHAPE.headDim, (head + 1) * SHAPE.headDim)];
    assertEquals([...held.positions], positions);
    assertEquals([...held.keys], positions.flatMap((at) => part(rows(at, 1).keys)));
    assertEquals([...held.values], positions.flatMap((at) => part(rows(at, 1).values)));
  }
}

Deno.test("createHostCache() shows entries token by token, and hands out their slots, not copies", () => {
  using cache = createHostCache({ ...SHAPE, capacity: 4 });
  append(cache, 0, 0, 2);
  const before = cache.slots(0, 0);
  append(cache, 0, 2, 2);
  const after = cache.slots(0, 0);
  assertEquals(before?.keys.buffer, after?.keys.buffer);
  assertEquals([before?.held, after?.held, after?.slots], [2, 4, 4]);
  assertEquals(cache.keys(0), rows(0, 4).keys);
  assertEquals(cache.values(0), rows(0, 4).values);
  // Head by head, as attention reads them.
  const ofHead = (head: number) =>
    [0, 1, 2, 3].flatMap((token) => {
      const start = token * ROW + head * SHAPE.headDim;
      return [...rows(0, 4).keys.subarray(start, start + SHAPE.headDim)];
    });
  assertEquals([...after?.keys ?? []], [...ofHead(0), ...ofHead(1)]);
});

Deno.test("slots() makes room for what a step writes, and commit() counts it", () => {
  using cache = createHostCache(SHAPE);
  append(cache, 0, 0, 3);
  append(cache, 1, 0, 3);
  const { kvHeads, headDim } = SHAPE;
  for (let position = 3; position < 60; position++) {
    const place = cache.slots(0, 1);
    if (!place) throw new Error("there are no slots");
    assert(place.writable && place.slots > place.held);
    const { keys, values } = rows(position, 1);
    for (let head = 0; head < kvHeads; head++) {
      const at = (head * place.slots + place.held) * headDim;
      place.keys.set(keys.subarray(head * headDim, (head + 1) * headDim), at);
      place.values.set(values.subarray(head * headDim, (head + 1) * headDim), at);
    }
    // Nothing counts before it is committed.
    assertEquals(cache.lengths(0), [position, position]);
    cache.commit(0, 1, position);
  }
  const tokens = Array.from({ length: 60 }, (_, token) => token);
  assertHolds(cache, 0, [tokens, tokens]);
  assertHolds(cache, 1, [[0, 1, 2], [0, 1, 2]]);
  cache.compact(0, [new Int32Array([1, 50]), new Int32Array([0, 59])]);
  assertHolds(cache, 0, [[1, 50], [0, 59]]);
  assertEquals(cache.slots(0, 0)?.slots, 2);
  cache.compact(0, [new Int32Array([1]), new Int32Array([0, 1])]);
  assertEquals(cache.slots(0, 1), undefined);
});
