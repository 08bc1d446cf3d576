import { assertEquals, assertThrows } from "@std/assert";
import { assertClose, largestDifference, noise } from "./_close.ts";

Deno.test("assertClose() fails on lengths, on NaN and just outside of its tolerance", () => {
  assertClose([1, 2], [1.1, 2.1], { absolute: 0.11 });
  assertClose([90, -Infinity], [100, -Infinity], { relative: 0.1 });
  assertThrows(() => assertClose([1], [1, 2], { absolute: 9 }), Error, "1 numbers, expected 2");
  assertThrows(() => assertClose([1, NaN], [1, 2], { absolute: 9 }), Error, "[1]: NaN");
  assertThrows(() => assertClose([1, 2], [1, NaN], { absolute: 9 }), Error, "expected NaN");
  assertThrows(() => assertClose([1, 5, 3], [1, 2, 2], { absolute: 0.5 }), Error, "[1]: 5");
  assertThrows(() => assertClose([89], [100], { relative: 0.1 }), Error, "[0]: 89");
});

Deno.test("largestDifference() sees every number and gives NaN for what cannot be compared", () => {
  assertEquals(largestDifference([1, 2, 3], [1, 4, 2.5]), 2);
  assertEquals(largestDifference([1], [1, 2]), NaN);
});

Deno.test("noise() repeats itself for a seed and spreads over its range", () => {
  assertEquals(noise(64, 3), noise(64, 3));
  const values = noise(1000, 4);
  assertEquals(values.every((value) => value >= -1 && value <= 1), true);
  assertEquals(new Set(noise(1000, 5)).size > 990, true);
});
