import { assertEquals } from "@std/assert";
import { createHostCache } from "../../../runtime/cache/host_cache.ts";
import { sumsOfKept, withEarlier } from "../../../runtime/evidence/accumulated.ts";
import { hostRows } from "../../../runtime/engine/host/host_rows.ts";

Deno.test("sumsOfKept() picks the columns that each KV head keeps, for all of its query heads", () => {
  // Two KV heads of two query heads each; the first holds three tokens, the second two.
  const rows = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
  const kept = [[Int32Array.of(0, 2), Int32Array.of(1)]];
  assertEquals(sumsOfKept([rows], [[3, 2]], kept, 2), [Float32Array.of(1, 3, 4, 6, 8, 10)]);
});

Deno.test("withEarlier() adds to the tokens that were held before, head by head", async () => {
  using cache = createHostCache({ layers: 1, kvHeads: 2, headDim: 1 });
  const entries = (count: number) => new Float32Array(2 * count);
  cache.append(0, entries(3), entries(3), 0);
  cache.compact(0, [Int32Array.of(0, 2), Int32Array.of(1)]);
  cache.append(0, entries(1), entries(1), 3);
  const data = Float32Array.of(1, 1, 1, 2, 2);
  const now = [hostRows(data, [3, 2], 1)];
  const earlier = [Float32Array.of(10, 20, 30)];
  using scope = new DisposableStack();
  const rows = (floats: Float32Array, lengths: readonly number[]) => hostRows(floats, lengths, 1);
  const since = { engine: { rows }, cache, group: 1, scope };
  const [sum] = await withEarlier(now, earlier, since);
  assertEquals(await sum?.floats(), Float32Array.of(11, 21, 1, 32, 2));
  assertEquals(await withEarlier(now, undefined, since), now);
  // What was given is left as it was.
  assertEquals(data, Float32Array.of(1, 1, 1, 2, 2));
});
