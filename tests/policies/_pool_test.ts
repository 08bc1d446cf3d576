import { assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { pool } from "../../policies/_pool.ts";

const scores = new Float32Array([3, 1, 2, 6, -4, -5, -6, -7]);

Deno.test("pool() counts the padding in averages and leaves it out of maxima", () => {
  assertEquals(
    pool(scores, 4, { kernel: 3, pooling: "max", end: 4 }),
    new Float32Array([3, 3, 6, 6, -4, -4, -5, -6]),
  );
  assertEquals(
    pool(scores, 4, { kernel: 3, pooling: "avg", end: 4 }),
    Float32Array.from([4 / 3, 2, 3, 8 / 3, -3, -5, -6, -13 / 3]),
  );
});

Deno.test("pool() ends before the tokens that are not pooled, and leaves them alone", () => {
  assertEquals(
    pool(scores, 4, { kernel: 3, pooling: "max", end: 3 }),
    new Float32Array([3, 3, 2, 6, -4, -4, -5, -7]),
  );
  assertEquals(pool(scores, 4, { kernel: 3, pooling: "avg", end: 0 }), scores);
});

Deno.test("pool() equals its definition for any kernel, wider than the prompt too", () => {
  const values = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 30 });
  const kernels = fc.nat({ max: 40 }).map((half) => 2 * half + 1);
  fc.assert(fc.property(values, kernels, fc.constantFrom("max", "avg"), (row, kernel, pooling) => {
    const { length } = row;
    const pooled = pool(new Float32Array(row), length, { kernel, pooling, end: length });
    for (const [token, value] of pooled.entries()) {
      const near = row.filter((_, index) => Math.abs(index - token) <= (kernel - 1) / 2);
      const expected = pooling === "max"
        ? Math.max(...near)
        : near.reduce((sum, one) => sum + one, 0) / kernel;
      assertAlmostEquals(value, expected, 1e-5);
    }
  }));
});
