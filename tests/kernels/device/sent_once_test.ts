import { assertEquals, assertRejects } from "@std/assert";
import { createRowKernels } from "../../../kernels/device/row_kernels.ts";
import { createSentOnce } from "../../../kernels/device/sent_once.ts";
import { floats, integers } from "../../../kernels/session.ts";
import { testDevice } from "../../_device.ts";

const row = (...numbers: number[]) => floats(Float32Array.from(numbers), [1, numbers.length]);

Deno.test("a set of arrays is sent once, and known by its numbers", async () => {
  await using device = testDevice();
  let sent = 0;
  device.onCrossing = ({ kernel, direction, bytes }) => {
    if (kernel === "sent_once" && direction === "in") sent += bytes;
  };
  await using once = createSentOnce(device);
  await using rows = createRowKernels(device);
  const array = Float32Array.of(1, 2, 3);
  {
    using first = await once.lend({ a: floats(array, [1, 3]), b: row(4) });
    using again = await once.lend({ a: row(1, 2, 3), b: row(4) });
    assertEquals(again.tensors, first.tensors);
    assertEquals(sent, 16);
    const { a } = again.tensors;
    assertEquals(a && await rows.read(a), array);
  }
  array[1] = 7;
  using changed = await once.lend({ a: floats(array, [1, 3]), b: row(4) });
  assertEquals(sent, 32, "what was changed is sent again");
  const { a } = changed.tensors;
  assertEquals(a && await rows.read(a), array);
  using turned = await once.lend({ a: floats(array, [3, 1]), b: row(4) });
  assertEquals([turned.tensors.a?.dims, sent], [[3, 1], 48], "other sizes are others");
  using alone = await once.lend({ b: row(4) });
  assertEquals([Object.keys(alone.tensors), sent], [["b"], 52]);
  await assertRejects(() => once.lend({ a: integers([1]) }), TypeError, "32-bit floats");
});

Deno.test("of sets that nobody uses the last four stay; all go with their owner", async () => {
  await using device = testDevice();
  const before = device.usage.tensors;
  {
    await using once = createSentOnce(device);
    const first = await once.lend({ a: row(0) });
    for (let number = 1; number <= 6; number++) {
      using _lent = await once.lend({ a: row(number) });
    }
    assertEquals(device.usage.tensors, before + 5, "one that is used stays besides");
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    assertEquals(device.usage.tensors, before + 4, "it was used for longest");
    using both = await once.lend({ a: row(6) });
    assertEquals([both.tensors.a?.bytes, device.usage.tensors], [4, before + 4]);
  }
  assertEquals(device.usage.tensors, before);
});
