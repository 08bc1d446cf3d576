import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { type CacheKernels, createCacheKernels } from "../../../../kernels/device/cache_kernels.ts";
import type { Device, DeviceKernel } from "../../../../kernels/device/device.ts";
import { createGraph } from "../../../../kernels/onnx/graph.ts";
import { floats, integers } from "../../../../kernels/session.ts";
import { createDeviceCache } from "../../../../runtime/cache/device_cache.ts";
import type { DeviceKvCache } from "../../../../runtime/cache/kv_cache.ts";
import { createHostCache } from "../../../../runtime/cache/host_cache.ts";
import type { CacheMark } from "../../../../runtime/cache/kv_cache.ts";
import { KvjudgeError } from "../../../../runtime/errors.ts";
import { testDevice, testProvider } from "../../../_device.ts";
import { chosen, type HeldPositions, left, markOrRollBack, replaced } from "../_cache_model.ts";
import { heldBytes } from "../_held_bytes.ts";

const SHAPE = { layers: 2, kvHeads: 2, headDim: 4 };
const RUNS = testProvider() === "webgpu" ? 4 : 60;
const FREQUENCIES = Float32Array.of(1, 0.01);

/** Numbers that are told apart by layer, KV head and position. */
function key(layer: number, head: number, position: number): number[] {
  return Array.from({ length: SHAPE.headDim }, (_, i) => position + head / 4 + layer / 2 + i / 64);
}

interface Bench extends AsyncDisposable {
  readonly device: Device;
  readonly kernels: CacheKernels;
  readonly cache: DeviceKvCache;
  /** Writes tokens behind those that a cache holds, as a step does. */
  append(cache: DeviceKvCache, position: number, tokens: number): Promise<void>;
}

async function bench(
  change: (kernels: CacheKernels) => CacheKernels = (same) => same,
): Promise<Bench> {
  await using opening = new AsyncDisposableStack();
  const device = opening.use(testDevice());
  const kernels = change(opening.use(createCacheKernels(device, "float32")));
  const graph = createGraph("append");
  graph.input("past", "float32", ["H", "C", "D"]);
  graph.input("slots", "int64", ["H", "T", 2]);
  graph.input("rows", "float32", ["H", "T", "D"]);
  graph.op("ScatterND", ["past", "slots", "rows"], { names: ["present"] });
  graph.output("present", "float32", ["H", "C", "D"]);
  const scatter: DeviceKernel = opening.use(
    await device.load(graph.build(), { stay: ["present"], inPlace: true }),
  );
  const cache = opening.use(createDeviceCache({ device, kernels, element: "float32" }, SHAPE));
  const opened = opening.move();
  return {
    device,
    kernels,
    cache,
    async append(to, position, tokens) {
      if (tokens === 0) return;
      await to.makeRoom(tokens);
      const every = Array.from({ length: tokens }, (_, token) => token);
      for (let layer = 0; layer < SHAPE.layers; layer++) {
        const lengths = to.lengths(layer);
        const slots = lengths.flatMap((length, head) =>
          every.flatMap((token) => [head, length + token])
        );
        const rows = Float32Array.from(
          lengths.flatMap((_, head) =>
            every.flatMap((token) => key(layer, head, position + token))
          ),
        );
        const { keys, values } = to.buffers(layer);
        const shape = [SHAPE.kvHeads, tokens, SHAPE.headDim];
        const feeds = { slots: integers(slots, [SHAPE.kvHeads, tokens, 2]) };
        for (const [past, sign] of [[keys, 1], [values, -1]] as const) {
          const signed = floats(rows.map((value) => sign * value), shape);
          await scatter.run({ ...feeds, past, rows: signed }, { into: { present: past } });
        }
      }
      to.commit(tokens, position);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function assertHolds(
  cache: DeviceKvCache,
  layer: number,
  model: HeldPositions,
): Promise<void> {
  const lengths = model.map(({ length }) => length);
  assertEquals([cache.length(layer), cache.lengths(layer)], [Math.max(...lengths), lengths]);
  assertEquals(cache.positions(layer), Int32Array.from(model.flat()));
  for (const [head, entries] of (await cache.entries(layer)).entries()) {
    const positions = model[head] ?? [];
    const expected = Float32Array.from(positions.flatMap((position) => key(layer, head, position)));
    assertEquals(entries.keys, expected);
    assertEquals(entries.values, expected.map((value) => -value));
    assertEquals(entries.positions, Int32Array.from(positions));
  }
}

const step = fc.oneof(
  fc.record({ do: fc.constant("append" as const), tokens: fc.nat({ max: 20 }) }),
  fc.record({
    do: fc.constant("compact" as const),
    layer: fc.nat({ max: SHAPE.layers - 1 }),
    heads: fc.constantFrom("same" as const, "others" as const, "ragged" as const),
    seed: fc.nat({ max: 1000 }),
  }),
  fc.record({ do: fc.constant("reserve" as const), tokens: fc.nat({ max: 30 }) }),
  fc.record({ do: fc.constantFrom("mark" as const, "rollback" as const, "fork" as const) }),
);

Deno.test("createDeviceCache() holds what a plain list holds, whatever is done to it", async () => {
  await using made = await bench();
  const { device, append } = made;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 10 }), async (steps) => {
      const before = device.usage.tensors;
      {
        using stack = new DisposableStack();
        let cache = stack.use(createDeviceCache({ ...made, element: "float32" }, SHAPE));
        const model: HeldPositions[] = Array.from({ length: SHAPE.layers }, () => [[], []]);
        let next = 0;
        let mark: CacheMark | undefined;
        for (const one of steps) {
          switch (one.do) {
            case "append":
              await append(cache, next, one.tokens);
              for (const head of model.flat()) {
                for (let token = 0; token < one.tokens; token++) head.push(next + token);
              }
              next += one.tokens;
              break;
            case "compact": {
              const kept = chosen(cache.lengths(one.layer), one.heads, one.seed);
              await cache.compact(one.layer, kept);
              model[one.layer] = left(model[one.layer], kept);
              assertEquals(
                cache.capacity(one.layer),
                Math.max(...kept.map(({ length }) => length)),
              );
              mark = undefined;
              break;
            }
            case "reserve":
              await cache.reserve(one.tokens);
              break;
            case "mark":
            case "rollback":
              mark = markOrRollBack(one.do, cache, model, mark);
              break;
            case "fork":
              cache = replaced(stack, cache, await cache.fork() as DeviceKvCache);
          }
          for (const [index, heads] of model.entries()) await assertHolds(cache, index, heads);
          const held = model.flat().reduce((sum, { length }) => sum + length, 0);
          assertEquals(heldBytes(cache), held * (2 * SHAPE.headDim * 4 + 4));
          assert(cache.bytes >= heldBytes(cache));
        }
      }
      assertEquals(device.usage.tensors, before);
    }),
    { seed: 20261124, numRuns: RUNS },
  );
});

Deno.test("cache.rerotate() turns keys as the cache in main memory does", async () => {
  await using made = await bench();
  const { cache, append } = made;
  await append(cache, 0, 9);
  using host = createHostCache(SHAPE);
  for (let layer = 0; layer < SHAPE.layers; layer++) {
    const rows = Float32Array.from(
      Array.from({ length: 9 }, (_, token) => [0, 1].flatMap((head) => key(layer, head, token)))
        .flat(),
    );
    host.append(layer, rows, rows.map((value) => -value), 0);
    const kept = [Int32Array.of(1, 4, 8), Int32Array.of(0, 3, 5, 7)];
    const to = [Int32Array.of(1, 2, 3), Int32Array.of(0, 1, 2, 3)];
    for (const one of [host, cache]) {
      await one.compact(layer, kept);
      await one.rerotate(layer, { frequencies: FREQUENCIES, to });
    }
    const [expected, found] = [host.entries(layer), await cache.entries(layer)];
    for (const [head, { keys, values, positions }] of expected.entries()) {
      const there = found[head];
      keys.forEach((value, i) => assert(Math.abs(value - (there?.keys[i] ?? NaN)) < 1e-5));
      assertEquals([there?.values, there?.positions], [values, positions]);
    }
  }
});

Deno.test("cache.fill() brings entries from main memory, of ragged heads too", async () => {
  await using made = await bench();
  const { cache } = made;
  const entries = [[2, 5], [0, 1, 7]].map((positions, head) => {
    const keys = Float32Array.from(positions.flatMap((position) => key(0, head, position)));
    return { keys, values: keys.map((value) => -value), positions: Int32Array.from(positions) };
  });
  await cache.fill(0, entries);
  await assertHolds(cache, 0, [[2, 5], [0, 1, 7]]);
  assertEquals(cache.length(1), 0);
});

Deno.test("a device cache grows by a quarter at a time, and to what was reserved", async () => {
  await using made = await bench();
  const { cache, append } = made;
  await append(cache, 0, 1);
  assertEquals(cache.capacity(0), 16);
  await append(cache, 1, 20);
  assertEquals(cache.capacity(0), 21);
  await append(cache, 21, 1);
  assertEquals(cache.capacity(0), 27);
  await cache.reserve(8);
  await append(cache, 22, 6);
  assertEquals(cache.capacity(0), 30 + 256);
  await append(cache, 28, 200);
  assertEquals(cache.capacity(0), 30 + 256);
  await append(cache, 228, 59);
  assertEquals(cache.capacity(0), 358);
  // A long prompt gets the spare slots with its last chunk, not before.
  await cache.reserve(1000);
  await append(cache, 287, 300);
  assertEquals(cache.capacity(0), 587);
  await append(cache, 587, 700);
  assertEquals(cache.capacity(0), 1287 + 256);
  // So does one whose growth reaches what was reserved before its last chunk.
  await cache.reserve(2000);
  await append(cache, 1287, 1500);
  assertEquals(cache.capacity(0), 2787);
  await append(cache, 2787, 200);
  assertEquals(cache.capacity(0), 3287 + 256);
});

Deno.test("a device cache that cannot be changed stays as it was, and leaks nothing", async () => {
  let failing = false;
  let calls = 0;
  const fail =
    <Args extends unknown[], T>(work: (...args: Args) => Promise<T>, at = 1) =>
    (...args: Args): Promise<T> =>
      failing && ++calls % at === 0 ? Promise.reject(new Error("no memory")) : work(...args);
  await using made = await bench((kernels) => ({
    ...kernels,
    // Keys and values are gathered in one run.
    gather: (...args) => failing ? Promise.reject(new Error("no memory")) : kernels.gather(...args),
    grown: fail(kernels.grown),
    // The second of two tensors fails: the first must not be lost.
    copied: fail(kernels.copied, 2),
  }));
  const { cache, device, append } = made;
  await append(cache, 0, 5);
  const { tensors } = device.usage;
  failing = true;
  const all = [Int32Array.of(0, 2), Int32Array.of(1, 4)];
  const tries = [() => cache.compact(0, all), () => cache.fork(), () => cache.makeRoom(100)];
  for (const work of tries) {
    await assertRejects(async () => await work(), Error, "no memory");
    assertEquals(device.usage.tensors, tensors);
    await assertHolds(cache, 0, [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]);
    calls = 0;
  }
});

Deno.test("a device cache refuses what does not fit, and its use after disposal", async () => {
  await using made = await bench();
  const { cache, append } = made;
  await append(cache, 0, 4);
  const both = Int32Array.of(0, 1);
  const bad: readonly (readonly [readonly Int32Array[], string])[] = [
    [[both], "indices for 2 KV heads, got 1"],
    [[both, Int32Array.of(3, 2)], "got 2 after 3"],
    [[both, Int32Array.of(2, 4)], "got 4 after 2"],
  ];
  for (const [kept, message] of bad) {
    await assertRejects(async () => await cache.compact(0, kept), RangeError, message);
  }
  assertThrows(() => cache.length(2), RangeError, "Cannot reach layer 2");
  assertThrows(() => cache.rollback({ lengths: [5, 4] }), RangeError, "it holds 4");
  assertThrows(
    () => createDeviceCache({ ...made, element: "float32" }, { ...SHAPE, kvHeads: 0 }),
    RangeError,
    "'kvHeads'",
  );
  cache[Symbol.dispose]();
  cache[Symbol.dispose]();
  assertThrows(() => cache.length(0), KvjudgeError, "after its disposal");
  await assertRejects(async () => await cache.fork(), KvjudgeError, "after its disposal");
});
