import { assertEquals } from "@std/assert";
import { createCacheKernels } from "../../../kernels/device/cache_kernels.ts";
import { createMergeKernels } from "../../../kernels/device/merge_values.ts";
import type { CacheElement } from "../../../kernels/device/layer_buffers.ts";
import type { Merging } from "../../../policies/policy.ts";
import { lowestCosine, mergedValues } from "../../../runtime/evict/merged_values.ts";
import { assertClose, noise } from "../../_close.ts";
import { testDevice, testProvider } from "../../_device.ts";
import { fakeLayer } from "../../_fake_layer.ts";

const HEADS = 2;
const SIZE = 4;

/** Rows of a head, `[length, SIZE]`. */
const rows = (head: number, length: number, seed: number) => noise(length * SIZE, 10 * seed + head);

/** What main memory makes of a head. */
async function expected(
  head: number,
  length: number,
  kept: Int32Array,
  merging: Merging,
): Promise<Float32Array> {
  const layer = fakeLayer({
    ...{ heads: 1, kvHeads: 1, headDim: SIZE, length },
    keys: rows(head, length, 1),
    values: rows(head, length, 2),
  });
  const [values = new Float32Array()] = await mergedValues([layer], [kept], merging);
  return values;
}

/** Heads one behind the other, each with as many slots. */
function inSlots(heads: readonly Float32Array[], slots: number): Float32Array {
  const all = new Float32Array(heads.length * slots * SIZE);
  heads.forEach((row, head) => all.set(row, head * slots * SIZE));
  return all;
}

interface Case {
  readonly lengths: readonly number[];
  readonly kept: readonly Int32Array[];
  readonly merging: Merging;
}

const some = (length: number, every: number) =>
  Int32Array.from({ length: Math.floor(length / every) }, (_, index) => index * every + 1);

const whole: Merging = { threshold: 0, fraction: 1 };
const CASES: readonly (Case & { readonly name: string })[] = [
  { name: "even heads", lengths: [40, 40], kept: [some(40, 4), some(40, 4)], merging: whole },
  { name: "ragged heads", lengths: [40, 27], kept: [some(40, 3), some(27, 9)], merging: whole },
  {
    name: "a head that keeps all, another nothing but one",
    lengths: [5, 12],
    kept: [Int32Array.of(0, 1, 2, 3, 4), Int32Array.of(7)],
    merging: whole,
  },
  {
    name: "a head that keeps none",
    lengths: [12, 12],
    kept: [new Int32Array(), some(12, 5)],
    merging: whole,
  },
  {
    name: "near keys alone",
    lengths: [40, 40],
    kept: [some(40, 4), some(40, 4)],
    merging: { threshold: 0.8, fraction: 1 },
  },
  {
    name: "some of the tokens",
    lengths: [40, 33],
    kept: [some(40, 4), some(33, 4)],
    merging: { threshold: 0.1, fraction: 0.4 },
  },
  {
    name: "none of the tokens",
    lengths: [20, 20],
    kept: [some(20, 4), some(20, 4)],
    merging: { threshold: 0, fraction: 0 },
  },
];

async function mergedThere(
  { lengths, kept, merging }: Case,
  element: CacheElement,
  mostCosines?: number,
) {
  await using device = testDevice();
  await using cache = createCacheKernels(device, element);
  await using kernels = createMergeKernels(device, { headDim: SIZE }, element, mostCosines);
  const slots = Math.max(...lengths) + 3;
  const bring = (seed: number) => {
    const all = lengths.map((length, head) => rows(head, length, seed));
    return cache.written(inSlots(all, slots), [HEADS, slots, SIZE]);
  };
  using keys = await bring(1);
  using values = await bring(2);
  const { tensors } = device.usage;
  const received: Record<string, number> = {};
  device.onCrossing = ({ name, direction, bytes }) => {
    if (direction === "out") received[name] = (received[name] ?? 0) + bytes;
  };
  using merged = await kernels.merged({
    ...{ buffers: { keys, values }, lengths, kept, threshold: merging.threshold },
    least: merging.fraction === 1 ? undefined : (cosines) => lowestCosine(cosines, merging),
  });
  device.onCrossing = undefined;
  // Besides what is given: numbers that slots are counted with.
  assertEquals(device.usage.tensors, tensors + 2);
  return { found: await cache.read(merged), dims: merged.dims, received };
}

for (const { name, ...one } of CASES) {
  Deno.test(`values that are merged on a device are those of main memory: ${name}`, async () => {
    const { lengths, kept, merging } = one;
    const { found, dims, received } = await mergedThere(one, "float32");
    const most = Math.max(...kept.map(({ length }) => length));
    assertEquals(dims, [HEADS, most, SIZE]);
    const heads: Float32Array[] = [];
    for (const [head, slots] of kept.entries()) {
      heads.push(await expected(head, lengths[head] ?? 0, slots, merging));
    }
    assertClose(found, inSlots(heads, most), { absolute: 2e-6 });
    const cosines = 4 * lengths.reduce((sum, length) => sum + length, 0);
    assertEquals(received, merging.fraction === 1 ? {} : { cosines });
  });
}

// The software adapter has no 16-bit floats.
Deno.test(
  "values of 16-bit floats are merged in 32",
  { ignore: testProvider() === "webgpu" },
  async () => {
    const one = { lengths: [40, 40], kept: [some(40, 4), some(40, 4)], merging: whole };
    const [exact, half] = [await mergedThere(one, "float32"), await mergedThere(one, "float16")];
    assertClose(half.found, exact.found, { absolute: 5e-3 });
  },
);

Deno.test("a long head is merged part by part", async () => {
  // 300 kept tokens leave room for 139 cosines each: three parts, the last one shorter.
  const [length, every, room] = [330, 11, 139];
  const kept = Int32Array.from({ length }, (_, slot) => slot).filter((slot) => slot % every !== 5);
  const one = { lengths: [length, 20], kept: [kept, some(20, 4)], merging: whole };
  const { found } = await mergedThere(one, "float32", room * kept.length);
  const wanted = await expected(0, length, kept, whole);
  assertClose(found.subarray(0, wanted.length), wanted, { absolute: 2e-6 });
});
