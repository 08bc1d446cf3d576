import { assertEquals, assertThrows } from "@std/assert";
import { createCacheKernels } from "../../../kernels/device/cache_kernels.ts";
import { createDeviceCache } from "../../../runtime/cache/device_cache.ts";
import { createHostCache } from "../../../runtime/cache/host_cache.ts";
import { testDevice } from "../../_device.ts";

const SHAPE = { layers: 1, kvHeads: 2, headDim: 2 };
const NEW = [Float32Array.of(1, 2, 3, 4), Float32Array.of(5, 6)];

function filled() {
  const cache = createHostCache(SHAPE);
  const rows = Float32Array.from({ length: 12 }, (_, index) => 100 + index);
  cache.append(0, rows, rows, 0);
  return cache;
}

Deno.test("cache.setValues() changes values alone, of even and of ragged heads", () => {
  using cache = filled();
  const before = cache.entries(0);
  const even = [Float32Array.of(1, 2, 3, 4, 5, 6), Float32Array.of(7, 8, 9, 10, 11, 12)];
  cache.setValues(0, even);
  assertEquals(cache.entries(0).map(({ values }) => values), even);
  assertEquals(cache.entries(0).map(({ keys }) => keys), before.map(({ keys }) => keys));
  cache.compact(0, [Int32Array.of(0, 2), Int32Array.of(1)]);
  cache.setValues(0, NEW);
  assertEquals(cache.entries(0).map(({ values }) => values), NEW);
});

Deno.test("cache.setValues() refuses other numbers of values, and layers that slide", () => {
  using cache = filled();
  assertThrows(
    () => cache.setValues(0, NEW),
    RangeError,
    "hold 3, 3 tokens of 2 numbers, got 4, 2",
  );
  using sliding = createHostCache({ ...SHAPE, windows: [3] });
  const none = [new Float32Array(), new Float32Array()];
  assertThrows(() => sliding.setValues(0, none), RangeError, "it slides");
});

Deno.test("cache.setValues() on a device takes a buffer, and gives the old one back", async () => {
  await using device = testDevice();
  await using kernels = createCacheKernels(device, "float32");
  using cache = createDeviceCache({ device, kernels, element: "float32" }, SHAPE);
  using host = filled();
  host.compact(0, [Int32Array.of(0, 2), Int32Array.of(1)]);
  await cache.fill(0, host.entries(0));
  const { tensors } = device.usage;
  const numbers = Float32Array.of(1, 2, 3, 4, 5, 6, 0, 0);
  cache.setValues(0, await kernels.written(numbers, [2, 2, 2]));
  assertEquals(device.usage.tensors, tensors);
  assertEquals((await cache.entries(0)).map(({ values }) => values), NEW);
  assertEquals((await cache.entries(0))[0]?.keys, host.entries(0)[0]?.keys);
  using more = await kernels.written(numbers, [2, 1, 4]);
  assertThrows(() => cache.setValues(0, more), RangeError, "[2, 2, 2] numbers, got [2, 1, 4]");
});
