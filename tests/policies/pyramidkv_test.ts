import { assertEquals, assertThrows } from "@std/assert";
import { OptionError } from "../../policies/policy.ts";
import { pyramidKv } from "../../policies/pyramidkv.ts";
import { assertGoldenKept, assertGoldenScores } from "./_golden.ts";

const asGolden = () =>
  pyramidKv({ window: 4, kernel: 5, pooling: "avg", beta: 5, variant: "kvpress" });

Deno.test("pyramidKv() scores as the goldens do, before the window", async () => {
  await assertGoldenScores(asGolden(), (index, length) => index < length - 4);
});

Deno.test("pyramidKv() keeps what the goldens keep, in layers of different sizes", async () => {
  await assertGoldenKept(asGolden());
});

const allocated = (
  options: Parameters<typeof pyramidKv>[0],
  request: { layers: number; length: number; budget: number },
) => Promise.resolve(pyramidKv(options).allocate?.(request));

Deno.test("pyramidKv() gives out exactly the budget, less in every further layer", async () => {
  for (const variant of ["authors", "kvpress"] as const) {
    for (const [layers, length, budget] of [[2, 60, 9], [30, 4096, 128], [7, 500, 37]] as const) {
      const counts = await allocated({ window: 4, beta: 3, variant }, { layers, length, budget }) ??
        [];
      assertEquals(counts.length, layers);
      assertEquals(counts.reduce((sum, count) => sum + count, 0), layers * budget);
      // Rounding may put one token in the wrong layer where the slope is below one.
      for (let i = 1; i < layers; i++) {
        assertEquals((counts[i] ?? NaN) <= (counts[i - 1] ?? NaN) + 1, true);
      }
    }
  }
});

Deno.test("pyramidKv() never gives a layer more tokens than there are", async () => {
  const counts = await allocated({ window: 4 }, { layers: 3, length: 40, budget: 30 }) ?? [];
  assertEquals(counts, [40, 30, 20]);
});

Deno.test("pyramidKv() divides evenly where there is nothing to divide", async () => {
  assertEquals(await allocated({ window: 8 }, { layers: 2, length: 40, budget: 8 }), [8, 8]);
  assertEquals(await allocated({ window: 8 }, { layers: 1, length: 40, budget: 20 }), [20]);
  const steep = { window: 8, beta: 20, variant: "kvpress" } as const;
  assertEquals(await allocated(steep, { layers: 2, length: 400, budget: 20 }), [20, 20]);
});

Deno.test("pyramidKv() refuses options out of range", () => {
  assertThrows(
    () => pyramidKv({ beta: 0.5 }),
    OptionError,
    "'beta' must be a number of at least 1, got 0.5",
  );
  assertThrows(() => pyramidKv({ beta: NaN }), OptionError, "got NaN");
});
