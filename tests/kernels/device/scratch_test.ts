import { assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { createScratch } from "../../../kernels/device/scratch.ts";
import { testDevice } from "../../_device.ts";

Deno.test("createScratch() gives one set to one step at a time, and frees what it does not keep", async () => {
  await using device = testDevice();
  const scratch = createScratch(2, (tokens) => device.zeros([1, tokens, 4]));
  const first = await scratch.take(3);
  const beside = await scratch.take(3);
  assertNotStrictEquals(first[0], beside[0]);
  assertEquals(device.usage.tensors, 4);
  scratch.giveBack(first);
  assertStrictEquals(await scratch.take(3), first);
  scratch.giveBack(first);
  scratch.giveBack(beside);
  assertEquals(device.usage.tensors, 2);
  const longer = await scratch.take(5);
  assertEquals(longer.map(({ dims }) => dims), [[1, 5, 4], [1, 5, 4]]);
  assertEquals(device.usage.tensors, 2);
  scratch[Symbol.dispose]();
  scratch.giveBack(longer);
  assertEquals(device.usage.tensors, 0);
});
