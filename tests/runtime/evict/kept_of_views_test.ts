import { assertEquals, assertRejects } from "@std/assert";
import { adaKv } from "../../../policies/ada_kv.ts";
import type { ScorerPolicy } from "../../../policies/policy.ts";
import { BudgetError, PolicyError } from "../../../runtime/errors.ts";
import { selectKeptOfViews } from "../../../runtime/evict/contract.ts";
import { fakeLayer } from "../../_fake_layer.ts";

/** Heads that hold different numbers of tokens, shown one by one. */
const heads = (...lengths: number[]) =>
  lengths.map((length) => fakeLayer({ heads: 1, kvHeads: 1, headDim: 1, length, layer: 3 }));

/** Later tokens score higher. */
const late: ScorerPolicy = {
  name: "late",
  evidence: { kind: "none" },
  score: ({ length }) => Float32Array.from({ length }, (_, index) => index),
};

const protecting: ScorerPolicy = { ...late, protect: { sinks: 1, recent: 2 } };

const ascending = (...kept: number[][]) => kept.map((indices) => Int32Array.from(indices));

Deno.test("selectKeptOfViews() keeps of each head the budget, or all of a shorter one", async () => {
  assertEquals(
    await selectKeptOfViews(late, heads(6, 2, 3), 3),
    ascending([3, 4, 5], [0, 1], [0, 1, 2]),
  );
});

Deno.test("selectKeptOfViews() keeps everything where the heads together are within the budget", async () => {
  const kept = ascending([0, 1, 2, 3, 4], [0]);
  assertEquals(await selectKeptOfViews(late, heads(5, 1), 3), kept);
  assertEquals(await selectKeptOfViews({ ...late, evicts: false }, heads(5, 1), 1), kept);
});

Deno.test("selectKeptOfViews() keeps all of a head that holds fewer tokens than are protected", async () => {
  const kept = await selectKeptOfViews(protecting, heads(9, 2, 1), 3);
  assertEquals(kept, ascending([0, 7, 8], [0, 1], [0]));
  const shared = await selectKeptOfViews(adaKv({ inner: protecting }), heads(9, 2, 1), 3);
  assertEquals(shared, ascending([0, 4, 5, 6, 7, 8], [0, 1], [0]));
});

Deno.test("selectKeptOfViews() refuses a budget below what is protected, as of a whole layer", async () => {
  await assertRejects(
    () => selectKeptOfViews(protecting, heads(9, 2), 2),
    BudgetError,
    "Cannot keep 2 of 9 tokens in layer 3 with policy 'late': it always keeps 3",
  );
});

Deno.test("selectKeptOfViews() asks a policy that selects head by head", async () => {
  const asked: number[] = [];
  const select = ({ length }: { readonly length: number }, keep: number) => {
    asked.push(length);
    return [Int32Array.from({ length: keep }, (_, index) => index)];
  };
  const policy = { name: "first", evidence: { kind: "none" }, select } as const;
  assertEquals(await selectKeptOfViews(policy, heads(7, 2), 3), ascending([0, 1, 2], [0, 1]));
  assertEquals(asked, [7]);
});

Deno.test("selectKeptOfViews() refuses budgets of heads that break the contract", async () => {
  for (const counts of [[3, 2], [6, 0], [4, 3], [2.5, 3.5], [6], "all", [2, 4]]) {
    const allocateHeads = () => counts as readonly number[];
    await assertRejects(
      () => selectKeptOfViews({ ...late, allocateHeads }, heads(7, 3), 3),
      PolicyError,
      "'allocateHeads' must give 2 integers from 1, or what it protects, to what a head holds, 6 in all",
      JSON.stringify(counts),
    );
  }
});

Deno.test("selectKeptOfViews() refuses a second stage that breaks the contract", async () => {
  const ask = (first: number, rescore: () => unknown) =>
    selectKeptOfViews(
      { ...late, secondStage: { first, rescore: rescore as () => Float32Array } },
      heads(7),
      3,
    );
  await assertRejects(
    () => ask(2, () => new Float32Array(7)),
    PolicyError,
    "'first' of its second stage must be a number from 0 to 1, got 2",
  );
  await assertRejects(
    () => ask(0.5, () => new Float32Array(6)),
    PolicyError,
    "'rescore' must give a Float32Array of 1 × 7 = 7 numbers, got 6 numbers",
  );
  await assertRejects(() => ask(0.5, () => new Float32Array(7).fill(NaN)), PolicyError, "is NaN");
});

Deno.test("selectKeptOfViews() gives a second stage a copy of the scores, which decide the first part", async () => {
  const rescore = (_: unknown, scores: Float32Array) => scores.fill(0).map((_, index) => -index);
  const policy = { ...late, secondStage: { first: 0.5, rescore } };
  assertEquals(await selectKeptOfViews(policy, heads(7), 4), ascending([0, 1, 5, 6]));
});
