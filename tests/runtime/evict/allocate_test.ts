import { assertEquals, assertRejects } from "@std/assert";
import type { AllocationRequest, BudgetAllocator, Policy } from "../../../policies/policy.ts";
import { BudgetError, PolicyError } from "../../../runtime/errors.ts";
import { keepPerLayer } from "../../../runtime/evict/allocate.ts";

const shape = { layers: 3, kvHeads: 2, headDim: 8 };

function policy(allocate?: BudgetAllocator): Policy {
  return {
    name: "mine",
    evidence: { kind: "none" },
    score: () => new Float32Array(0),
    ...(allocate === undefined ? {} : { allocate }),
  };
}

Deno.test("keepPerLayer() gives each layer the same without an allocator", async () => {
  assertEquals(await keepPerLayer(policy(), { length: 100, budget: 0.1, shape }), [10, 10, 10]);
  assertEquals(await keepPerLayer(policy(), { length: 8, budget: 10, shape }), [8, 8, 8]);
});

Deno.test("keepPerLayer() divides bytes among the layers", async () => {
  const tokenBytes = 2 * (8 + 8 + 1) * 4;
  const request = { length: 100, shape };
  assertEquals(
    await keepPerLayer(policy(), { ...request, budget: { bytes: 3 * 5 * tokenBytes } }),
    [5, 5, 5],
  );
  const perLayer = [{ bytes: 5 * tokenBytes }, 7, { ratio: 0.2 }];
  assertEquals(await keepPerLayer(policy(), { ...request, budget: perLayer }), [5, 7, 20]);
});

Deno.test("keepPerLayer() lets the allocator divide the total", async () => {
  const requests: AllocationRequest[] = [];
  const allocate: BudgetAllocator = (request) => {
    requests.push(request);
    return [18, 8, 4];
  };
  assertEquals(await keepPerLayer(policy(allocate), { length: 100, budget: 10, shape }), [
    18,
    8,
    4,
  ]);
  assertEquals(requests, [{ layers: 3, length: 100, budget: 10 }]);
});

Deno.test("keepPerLayer() does not ask the allocator when everything fits or layers are given", async () => {
  const allocate = () => {
    throw new Error("asked");
  };
  assertEquals(await keepPerLayer(policy(allocate), { length: 10, budget: 10, shape }), [
    10,
    10,
    10,
  ]);
  assertEquals(await keepPerLayer(policy(allocate), { length: 10, budget: [1, 2, 99], shape }), [
    1,
    2,
    10,
  ]);
});

Deno.test("keepPerLayer() refuses an allocator that breaks its contract", async () => {
  for (
    const [answer, message] of [
      [[15, 15], "one number for each of 3 layers, got 2"],
      [undefined, "one number for each of 3 layers, got undefined"],
      [[10, 10, 9], "must give out 3 × 10 = 30 tokens, it gave 29"],
      [[10, 11, 10], "must give out 3 × 10 = 30 tokens, it gave 31"],
      [[30, 0, 0], "integers from 1 to 20, got 30 for layer 0"],
      [[20, 10, 0], "integers from 1 to 20, got 0 for layer 2"],
      [[14.5, 14.5, 1], "integers from 1 to 20, got 14.5 for layer 0"],
      [[NaN, 10, 10], "integers from 1 to 20, got NaN for layer 0"],
    ] as const
  ) {
    const allocate = (() => answer) as BudgetAllocator;
    await assertRejects(
      () => keepPerLayer(policy(allocate), { length: 20, budget: 10, shape }),
      PolicyError,
      message,
    );
  }
});

Deno.test("keepPerLayer() refuses budgets for another number of layers, and bad ones", async () => {
  await assertRejects(
    () => keepPerLayer(policy(), { length: 20, budget: [1, 2], shape }),
    BudgetError,
    "Cannot use a budget for 2 layers: the model has 3",
  );
  for (const budget of [0, [5, 5, -1]]) {
    await assertRejects(() => keepPerLayer(policy(), { length: 20, budget, shape }), BudgetError);
  }
});

Deno.test("keepPerLayer() keeps everything for a policy that evicts nothing", async () => {
  const keeper: Policy = { ...policy(() => [1, 1, 1]), evicts: false };
  for (const budget of [1, 0.5, [1, 2, 3]]) {
    assertEquals(await keepPerLayer(keeper, { length: 20, budget, shape }), [20, 20, 20]);
  }
});

Deno.test("keepPerLayer() divides among the global layers alone, and has nothing to divide without them", async () => {
  const mixed = { ...shape, layers: 2, sliding: [32, 32] };
  const seen: number[] = [];
  const allocate: BudgetAllocator = ({ layers }) => (seen.push(layers), [12, 8]);
  assertEquals(
    await keepPerLayer(policy(allocate), { length: 50, budget: 10, shape: mixed }),
    [12, 8],
  );
  assertEquals(seen, [2]);
  assertEquals(await keepPerLayer(policy(), { length: 50, budget: [3, 4], shape: mixed }), [3, 4]);
  await assertRejects(
    () => keepPerLayer(policy(), { length: 50, budget: [1, 2, 3, 4], shape: mixed }),
    BudgetError,
    "Cannot use a budget for 4 layers: the model has 2 global ones, the others slide and are not " +
      "evicted; give one for each global layer or one for all",
  );
  const never: BudgetAllocator = () => {
    throw new Error("asked");
  };
  const sliding = { ...shape, layers: 0, sliding: [32] };
  assertEquals(await keepPerLayer(policy(never), { length: 50, budget: 10, shape: sliding }), []);
});
