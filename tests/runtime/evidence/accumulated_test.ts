import { assertEquals } from "@std/assert";
import { sumsOfKept, withEarlier } from "../../../runtime/evidence/accumulated.ts";
import { hostRows } from "../../../runtime/engine/host/host_rows.ts";

Deno.test("sumsOfKept() picks the columns that each KV head keeps, for all of its query heads", async () => {
  // Two KV heads of two query heads each; the first holds three tokens, the second two.
  const rows = hostRows(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), [3, 2], 2);
  // The second keeps a token that was not there when attention was paid.
  const kept = [[Int32Array.of(0, 2), Int32Array.of(1, 2)]];
  const [sums] = await sumsOfKept([rows], kept);
  assertEquals(await sums?.floats(), Float32Array.of(1, 3, 4, 6, 8, 0, 10, 0));
  assertEquals(sums?.lengths, [2, 2]);
});

Deno.test("withEarlier() adds to the tokens that were held before, head by head", async () => {
  // Of three and two tokens that are held one was read just now.
  const data = Float32Array.of(1, 1, 1, 2, 2);
  const now = [hostRows(data, [3, 2], 1)];
  const earlier = [hostRows(Float32Array.of(10, 20, 30), [2, 1], 1)];
  using scope = new DisposableStack();
  const [sum] = await withEarlier(now, earlier, scope);
  assertEquals(await sum?.floats(), Float32Array.of(11, 21, 1, 32, 2));
  assertEquals(await withEarlier(now, undefined, scope), now);
  // What was given is left as it was.
  assertEquals(data, Float32Array.of(1, 1, 1, 2, 2));
});
