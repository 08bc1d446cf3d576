import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { shareOut } from "../../policies/_share_out.ts";
import { perLayer } from "../../policies/per_layer.ts";
import { OptionError } from "../../policies/policy.ts";
import { pyramidKv } from "../../policies/pyramidkv.ts";

const allocated = (weights: readonly number[], layers: number, length: number, budget: number) =>
  perLayer({ weights }).allocate?.({ layers, length, budget });

Deno.test("perLayer() divides the budget in proportion, exactly", () => {
  assertEquals(allocated([1], 3, 100, 10), [10, 10, 10]);
  assertEquals(allocated([1, 2, 3], 3, 100, 10), [5, 10, 15]);
  assertEquals(allocated([1, 1, 1, 0.1], 4, 1000, 7), [9, 9, 9, 1]);
});

Deno.test("perLayer() stretches few weights over many layers", () => {
  assertEquals(allocated([5, 1], 5, 1000, 30), [50, 40, 30, 20, 10]);
});

Deno.test("perLayer() leaves to the others what a layer cannot hold", () => {
  assertEquals(allocated([100, 1, 1], 3, 20, 10), [20, 5, 5]);
});

Deno.test("shareOut() gives out the whole total within its bounds", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 500 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (weights, most, fill) => {
        const total = Math.round(weights.length * (1 + (most - 1) * fill));
        const shares = shareOut(total, weights, most);
        assertEquals(shares.reduce((sum, share) => sum + share, 0), total);
        assert(shares.every((share) => share >= 1 && share <= most), shares.join());
      },
    ),
    { seed: 7, numRuns: 300 },
  );
});

Deno.test("perLayer() refuses weights that are none, or more than there are layers", () => {
  for (const weights of [[], [0], [-1, 2], [NaN], [Infinity], ["1"], 3]) {
    assertThrows(
      () => Reflect.apply(perLayer, undefined, [{ weights }]),
      OptionError,
      "'weights' must be a list of at least one number above 0",
    );
  }
  assertThrows(
    () => allocated([1, 2, 3], 2, 10, 5),
    OptionError,
    "Cannot use 3 weights in 'per_layer': the model has 2 layers",
  );
  assertThrows(() => perLayer({ inner: pyramidKv() }), OptionError, "Cannot wrap 'pyramidkv'");
});
