import { assertEquals, assertThrows } from "@std/assert";
import { chunkKv } from "../../policies/chunk_kv.ts";
import { full } from "../../policies/full.ts";
import { OptionError, type ScorerPolicy } from "../../policies/policy.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { fakeLayer } from "../_fake_layer.ts";

const scored = (
  scores: readonly number[],
  protect: ScorerPolicy["protect"] = {},
): ScorerPolicy => ({
  name: "given",
  evidence: { kind: "none" },
  protect,
  score: () => Float32Array.from(scores),
});

const layer = (kvHeads: number, length: number) =>
  fakeLayer({ heads: kvHeads, kvHeads, headDim: 1, length });

Deno.test("chunkKv() keeps the chunks of the highest mean, whole", async () => {
  const inner = scored([9, 0, 0, 4, 4, 4, 1, 1, 1, 5]);
  const kept = await selectKept(chunkKv({ inner, chunk: 3 }), layer(1, 10), 7);
  // The last chunk has one token only; its mean counts all the same.
  assertEquals(kept, [Int32Array.of(0, 1, 2, 3, 4, 5, 9)]);
});

Deno.test("chunkKv() keeps the best tokens of a chunk that does not fit", async () => {
  const inner = scored([1, 9, 8, 2, 0, 0]);
  const kept = await selectKept(chunkKv({ inner, chunk: 4 }), layer(1, 6), 2);
  assertEquals(kept, [Int32Array.of(1, 2)]);
});

Deno.test("chunkKv() keeps the same chunks for every head, by the mean of their scores", async () => {
  const inner = scored([5, 5, 0, 0, 0, 0, 0, 0, 6, 6, 1, 1]);
  const kept = await selectKept(chunkKv({ inner, chunk: 2 }), layer(2, 6), 2);
  assertEquals(kept, [Int32Array.of(2, 3), Int32Array.of(2, 3)]);
});

Deno.test("chunkKv() keeps what the inner policy protects", async () => {
  const inner = scored([0, 9, 9, 9, 9, 0], { sinks: 1, recent: 1 });
  const kept = await selectKept(chunkKv({ inner, chunk: 2 }), layer(1, 6), 3);
  assertEquals(kept, [Int32Array.of(0, 2, 5)]);
});

Deno.test("chunkKv() refuses what it cannot wrap", () => {
  const refused = (inner: unknown) =>
    assertThrows(
      () => Reflect.apply(chunkKv, undefined, [{ inner }]),
      OptionError,
      "'inner' must be a policy that scores and evicts",
    );
  refused(full());
  refused("snapkv");
  refused({ name: "selects", evidence: { kind: "none" }, select: () => [] });
});
