import { assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { TrainingError } from "../../../training/errors.ts";
import { addInto, clipByNorm } from "../../../training/optimiser/gradients.ts";

Deno.test("clipByNorm() shortens all gradients by one factor", () => {
  const gradients = { a: Float32Array.of(2, -4), b: Float32Array.of(4) };
  assertEquals(clipByNorm(gradients, 3), 6);
  assertEquals(gradients, { a: Float32Array.of(1, -2), b: Float32Array.of(2) });
  assertEquals(clipByNorm(gradients, 3), 3);
});

Deno.test("clipByNorm() leaves short gradients as they are", () => {
  const gradients = { a: Float32Array.of(0.1, 0.2) };
  assertAlmostEquals(clipByNorm(gradients, 1), Math.hypot(0.1, 0.2), 1e-7);
  assertEquals(gradients, { a: Float32Array.of(0.1, 0.2) });
  assertEquals(clipByNorm({ a: new Float32Array(3) }, 1), 0);
  assertEquals(clipByNorm({}, 1), 0);
});

Deno.test("clipByNorm() tells of numbers that are not finite and keeps them", () => {
  const gradients = { a: Float32Array.of(1e30, NaN) };
  assertEquals(clipByNorm(gradients, 1), NaN);
  assertEquals(gradients.a[0], Math.fround(1e30));
  assertEquals(clipByNorm({ a: Float32Array.of(-Infinity) }, 1), Infinity);
});

Deno.test("clipByNorm() refuses a norm that is not above 0", () => {
  for (const maximum of [0, -1, NaN]) {
    const error = assertThrows(() => clipByNorm({}, maximum), TrainingError);
    assertMatch(error.message, /must be above 0, got/);
  }
});

Deno.test("addInto() sums with a factor and owns what it adds", () => {
  const sum: Record<string, Float32Array> = {};
  const first = { a: Float32Array.of(1, 2) };
  addInto(sum, first);
  addInto(sum, { a: Float32Array.of(2, 4), b: Float32Array.of(8) }, 0.25);
  assertEquals(sum, { a: Float32Array.of(1.5, 3), b: Float32Array.of(2) });
  assertEquals(first, { a: Float32Array.of(1, 2) });
});

Deno.test("addInto() refuses arrays of another length", () => {
  const add = () => addInto({ a: new Float32Array(2) }, { a: new Float32Array(3) });
  assertMatch(assertThrows(add, TrainingError).message, /"a" has 2 numbers in the sum and 3/);
});
