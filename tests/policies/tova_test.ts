import { assertEquals } from "@std/assert";
import { tova } from "../../policies/tova.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { assertGoldenKept, assertGoldenScores } from "./_golden.ts";

Deno.test("tova() scores as the goldens do, before the last token", async () => {
  await assertGoldenScores(tova(), (index, length) => index < length - 1);
});

Deno.test("tova() keeps what the goldens keep", () => assertGoldenKept(tova()));

Deno.test("tova() keeps the same tokens for every head, the last one always", async () => {
  const attention = new Float32Array([0.9, 0, 0.1, 0, 0, 0.2, 0.8, 0]);
  const layer = fakeLayer({ heads: 2, kvHeads: 2, headDim: 1, length: 4, attention });
  const expected = new Int32Array([0, 2, 3]);
  assertEquals(await selectKept(tova(), layer, 3), [expected, expected]);
});
