import { assert, assertEquals, assertThrows } from "@std/assert";
import { bytesPerToken } from "../../../runtime/cache/bytes_per_token.ts";
import { createHostCache } from "../../../runtime/cache/host_cache.ts";
import { heldBytes } from "./_held_bytes.ts";

Deno.test("pitfall 10, memory that heads free: createHostCache() holds as many entries as ragged heads keep, and at most a block more each", () => {
  const shape = { layers: 1, kvHeads: 3, headDim: 4 };
  const entry = bytesPerToken({ ...shape, kvHeads: 1 });
  using cache = createHostCache(shape);
  cache.append(0, new Float32Array(100 * 12), new Float32Array(100 * 12), 0);
  const kept = [70, 20, 1].map((count) => Int32Array.from({ length: count }, (_, at) => at));
  cache.compact(0, kept);
  assertEquals(heldBytes(cache), 91 * entry);
  assert(cache.bytes < 91 * entry + shape.kvHeads * entry);
  for (let token = 0; token < 200; token++) {
    cache.append(0, new Float32Array(12), new Float32Array(12), 100 + token);
    assert(cache.bytes <= heldBytes(cache) + shape.kvHeads * 17 * entry);
  }
  assertEquals(cache.lengths(0), [270, 220, 201]);
  assertThrows(() => cache.rollback({ lengths: [60] }), RangeError, "it holds 270");
  cache.rollback({ lengths: [70] });
  assertEquals(cache.lengths(0), [70, 20, 1]);
  using copy = cache.fork();
  assert(copy.bytes < 91 * entry + shape.kvHeads * entry);
  copy.compact(0, [kept[2], kept[2], kept[2]].map((one) => one ?? new Int32Array(0)));
  assertEquals([copy.segments(0), copy.bytes], [undefined, 3 * entry]);
});
