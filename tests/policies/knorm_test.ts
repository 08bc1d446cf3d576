import { assertAlmostEquals, assertEquals } from "@std/assert";
import { knorm } from "../../policies/knorm.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { assertGoldenKept, assertGoldenScores } from "./_golden.ts";

Deno.test("knorm() scores as the goldens do", () => assertGoldenScores(knorm()));

Deno.test("knorm() keeps what the goldens keep", () => assertGoldenKept(knorm()));

Deno.test("knorm() scores each KV head by its own keys", async () => {
  const keys = new Float32Array([3, 4, 1, 0, 0, 0, 1, 1]);
  const layer = fakeLayer({ heads: 2, kvHeads: 2, headDim: 2, length: 2, keys });
  const scores = await knorm().score(layer);
  assertEquals(scores.subarray(0, 3), new Float32Array([-5, -0, -1]));
  assertAlmostEquals(scores[3] ?? NaN, -Math.SQRT2, 1e-6);
});
