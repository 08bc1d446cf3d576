import { assertEquals } from "@std/assert";
import type { LayerView, Policy } from "../../../policies/policy.ts";
import { selectKept } from "../../../runtime/evict/contract.ts";
import { keepPinned } from "../../../runtime/evict/keep_pinned.ts";

const view = { layer: 0, kvHeads: 2, length: 8 } as LayerView;
const certain = [Int32Array.from([2, 3]), Int32Array.from([0])];

const rising: Policy = {
  name: "rising",
  evidence: { kind: "none" },
  protect: { sinks: 2, recent: 2 },
  score: ({ kvHeads, length }) =>
    Float32Array.from({ length: kvHeads * length }, (_, index) => index % length),
};

const lastOnes: Policy = {
  name: "last_ones",
  evidence: { kind: "none" },
  select: ({ kvHeads, length }, keep) =>
    Array.from(
      { length: kvHeads },
      () => Int32Array.from({ length: keep }, (_, index) => length - keep + index),
    ),
};

const kept = async (policy: Policy, keep: number) =>
  (await selectKept(keepPinned(policy, [view], certain), view, keep)).map((one) => [...one]);

Deno.test("keepPinned() keeps them beside what a policy protects and likes best", async () => {
  assertEquals(await kept(rising, 6), [[0, 1, 2, 3, 6, 7], [0, 1, 4, 5, 6, 7]]);
});

Deno.test("keepPinned() lets the policy's own protection yield where there is no room for both", async () => {
  assertEquals(await kept(rising, 3), [[0, 2, 3], [0, 6, 7]]);
  assertEquals(await kept(rising, 2), [[2, 3], [0, 7]]);
});

Deno.test("keepPinned() asks a policy that selects for fewer, and fills up with its first choice", async () => {
  assertEquals(await kept(lastOnes, 4), [[2, 3, 6, 7], [0, 4, 6, 7]]);
  assertEquals(await kept(lastOnes, 8), [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7]]);
});

Deno.test("keepPinned() leaves a policy alone where nothing is certain", () => {
  const none = [new Int32Array(0), new Int32Array(0)];
  assertEquals(keepPinned(rising, [view], none) === rising, true);
});
