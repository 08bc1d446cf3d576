import { assertEquals } from "@std/assert";
import { createRowKernels } from "../../../../kernels/device/row_kernels.ts";
import { writtenRows } from "../../../../runtime/engine/device/device_rows.ts";
import { hostRows } from "../../../../runtime/engine/host/host_rows.ts";
import { testDevice } from "../../../_device.ts";

/** Two KV heads of two query heads each, of which the first holds three tokens and the second two. */
const DATA = Float32Array.of(1, 2, 3, 4, 5, 6, Infinity, 8, 9, 10);
const LENGTHS = [3, 2];

Deno.test("columns of rows on a device are those of rows in main memory, ragged and infinite ones too", async () => {
  await using device = testDevice();
  await using kernels = createRowKernels(device);
  using there = await writtenRows(DATA, LENGTHS, { kernels, group: 2 });
  const here = hostRows(DATA, LENGTHS, 2);
  const chosen = [
    [Int32Array.of(0, 2), Int32Array.of(1)],
    // What a head lacks counts as 0, though another head has it.
    [Int32Array.of(1), Int32Array.of(0, 1, 2, 3)],
    [Int32Array.of(), Int32Array.of(0)],
    [Int32Array.of(), Int32Array.of()],
  ];
  for (const indices of chosen) {
    using found = await there.columns(indices);
    const expected = here.columns(indices);
    assertEquals([found.lengths, await found.floats()], [expected.lengths, expected.floats()]);
    using sum = await there.plus(found);
    assertEquals(await sum.floats(), here.plus(expected).floats());
    using most = await there.most(found);
    assertEquals(await most.floats(), here.most(expected).floats());
  }
});

Deno.test("rows on a device stay until the last of their owners has disposed of them", async () => {
  await using device = testDevice();
  await using kernels = createRowKernels(device);
  const rows = await writtenRows(DATA, LENGTHS, { kernels, group: 2 });
  const { tensors } = device.usage;
  const shared = rows.shared();
  const again = shared.shared();
  rows[Symbol.dispose]();
  rows[Symbol.dispose]();
  shared[Symbol.dispose]();
  assertEquals(device.usage.tensors, tensors);
  assertEquals(await again.floats(), DATA);
  // A view owns nothing.
  (await again.leading([1, 1]))[Symbol.dispose]();
  assertEquals(device.usage.tensors, tensors);
  again[Symbol.dispose]();
  assertEquals(device.usage.tensors, tensors - 1);
});
