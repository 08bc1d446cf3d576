import { assert, assertEquals } from "@std/assert";
import { dropKv } from "../../policies/drop_kv.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { testDropPolicy } from "./_drop_tests.ts";

for (const judge of ["window", "soft"] as const) {
  testDropPolicy((options) => dropKv({ ...options, judge }), { judge, power: 2 });
}

Deno.test("dropKv() averages over the query heads of a group, and pools", async () => {
  const layer = fakeLayer({
    ...{ heads: 2, kvHeads: 1, headDim: 1, length: 4 },
    attention: new Float32Array([1, 0, 0, 3, 3, 0, 0, 9]),
  });
  assertEquals(await dropKv({ kernel: 1 }).score(layer), new Float32Array([2, 0, 0, 6]));
  const pooled = await dropKv({ kernel: 3 }).score(layer);
  assertEquals([...pooled].map((one) => one * 3).map(Math.round), [2, 2, 6, 6]);
});

Deno.test("dropKv() keeps its window, which soft tokens judge too", () => {
  for (const judge of ["window", "soft"] as const) {
    assertEquals(dropKv({ judge, window: 5 }).protect, { recent: 5 });
  }
  assert(!("softTokens" in (dropKv().options ?? {})) || dropKv().options?.softTokens === undefined);
  assertEquals(dropKv({ judge: "soft" }).options?.softTokens, "default");
});
