import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { estimate, shareEstimate, wilson } from "../../evaluation/statistics.ts";
import { noise } from "../_close.ts";

Deno.test("estimate() repeats itself for a seed and has an interval of the expected width", () => {
  const values = Array.from(noise(400, 5));
  const { mean, interval, n } = estimate(values, 3);
  assertEquals(estimate(values, 3), { mean, interval, n });
  assert(mean !== null && interval !== null);
  assert(interval.toString() !== estimate(values, 4).interval?.toString());
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n);
  const reach = 1.96 * deviation / Math.sqrt(n);
  assertAlmostEquals(interval[0], mean - reach, reach / 5);
  assertAlmostEquals(interval[1], mean + reach, reach / 5);
});

Deno.test("estimate() has no interval for one value and nothing for none", () => {
  assertEquals(estimate([0.5], 0), { mean: 0.5, interval: null, n: 1 });
  assertEquals(estimate([], 0), { mean: null, interval: null, n: 0 });
});

Deno.test("wilson() stays within 0 and 1 at the ends", () => {
  const [none, few] = wilson(0, 10);
  assertEquals(none, 0);
  assertAlmostEquals(few, 0.2775, 1e-4);
  const [most, all] = wilson(10, 10);
  assertAlmostEquals(most, 1 - 0.2775, 1e-4);
  assertEquals(all, 1);
  assertEquals(wilson(0, 0), [0, 1]);
});

Deno.test("shareEstimate() has an interval with a width where all values are the same", () => {
  assertEquals(shareEstimate([1, 1, 1, 1], 0).interval, wilson(4, 4));
  assertEquals(shareEstimate([0, 0], 0).interval, wilson(0, 2));
  assertEquals(shareEstimate([0, 1, 1], 5), estimate([0, 1, 1], 5));
  assertEquals(shareEstimate([1], 0), { mean: 1, interval: null, n: 1 });
});
