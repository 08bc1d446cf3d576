import { assertAlmostEquals, assertEquals } from "@std/assert";
import { createOptimisers } from "../../training/optimisers.ts";

const NONE = { step: 0, first: {}, second: {} };
const RATES = {
  rate: 0.1,
  adapters: { rank: 1, projections: ["q"] as const, rate: 0.001 },
};

const tensors = () => ({
  soft_tokens: Float32Array.of(1, 2),
  "adapter.0.q.a": Float32Array.of(3),
});
const gradients = { soft_tokens: Float32Array.of(5, -1e-7), "adapter.0.q.a": Float32Array.of(2) };

Deno.test("createOptimisers() gives soft tokens and adapters their own rates, times the factor", () => {
  const trained = tensors();
  createOptimisers(RATES, NONE).step(trained, gradients, 0.5);
  // Adam's first step is the rate, whatever the size of the gradient.
  assertAlmostEquals(trained.soft_tokens[0] ?? 0, 0.95, 1e-6);
  assertAlmostEquals(trained.soft_tokens[1] ?? 0, 2.05, 1e-6);
  assertAlmostEquals(trained["adapter.0.q.a"][0] ?? 0, 2.9995, 1e-6);
});

Deno.test("createOptimisers() goes on from an exported state to the same bits", () => {
  const [whole, pieces] = [tensors(), tensors()];
  const one = createOptimisers(RATES, NONE);
  let state = one.exportState();
  assertEquals(state, NONE);
  for (let step = 0; step < 5; step++) {
    one.step(whole, gradients, 1);
    const fresh = createOptimisers(RATES, state);
    fresh.step(pieces, gradients, 1);
    state = fresh.exportState();
  }
  assertEquals(pieces, whole);
  assertEquals(state, one.exportState());
  assertEquals(state.step, 5);
});
