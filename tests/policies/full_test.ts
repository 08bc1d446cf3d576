import { assertEquals } from "@std/assert";
import { full } from "../../policies/full.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { keepPerLayer } from "../../runtime/evict/allocate.ts";
import { fakeLayer } from "../_fake_layer.ts";

Deno.test("full() keeps everything whatever the budget is", async () => {
  const shape = { layers: 2, kvHeads: 1, headDim: 4 };
  assertEquals(await keepPerLayer(full(), { length: 9, budget: 3, shape }), [9, 9]);
  const layer = fakeLayer({ heads: 1, kvHeads: 1, headDim: 4, length: 3 });
  for (const keep of [1, 3, 5]) {
    assertEquals(await selectKept(full(), layer, keep), [new Int32Array([0, 1, 2])]);
  }
});
