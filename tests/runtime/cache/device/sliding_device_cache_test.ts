import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { createCacheKernels } from "../../../../kernels/device/cache_kernels.ts";
import { createGraph } from "../../../../kernels/onnx/graph.ts";
import { floats, integers } from "../../../../kernels/session.ts";
import { createDeviceCache } from "../../../../runtime/cache/device_cache.ts";
import { createHostCache } from "../../../../runtime/cache/host_cache.ts";
import type { CacheMark, DeviceKvCache, HostKvCache } from "../../../../runtime/cache/kv_cache.ts";
import { mostSliding } from "../../../../runtime/cache/windows.ts";
import { testDevice, testProvider } from "../../../_device.ts";

const SHAPE = { layers: 3, kvHeads: 2, headDim: 2, windows: [5, undefined, 9], slack: 4 };
const RUNS = testProvider() === "webgpu" ? 4 : 80;

/** A cache on a device and one in main memory, to which the same is done. */
interface Pair {
  readonly there: DeviceKvCache;
  readonly here: HostKvCache;
}

async function bench() {
  await using opening = new AsyncDisposableStack();
  const device = opening.use(testDevice());
  const kernels = opening.use(createCacheKernels(device, "float32"));
  const graph = createGraph("append");
  graph.input("past", "float32", ["H", "C", "D"]);
  graph.input("slots", "int64", ["H", "T", 2]);
  graph.input("rows", "float32", ["H", "T", "D"]);
  graph.op("ScatterND", ["past", "slots", "rows"], { names: ["present"] });
  graph.output("present", "float32", ["H", "C", "D"]);
  const scatter = opening.use(
    await device.load(graph.build(), { stay: ["present"], inPlace: true }),
  );
  const opened = opening.move();
  const { kvHeads, headDim } = SHAPE;
  return {
    device,
    newPair: (): Pair => ({
      there: createDeviceCache({ device, kernels, element: "float32" }, SHAPE),
      here: createHostCache(SHAPE),
    }),
    /** Writes tokens of a text behind those that both hold, as steps do. */
    async append({ there, here }: Pair, position: number, tokens: number, text: number) {
      if (tokens === 0) return;
      await there.makeRoom(tokens);
      const number = (head: number, token: number, column: number) =>
        position + token + text / 16 + head / 4 + column / 64;
      for (let layer = 0; layer < SHAPE.layers; layer++) {
        const byHead: number[] = [];
        const slots: number[] = [];
        const byToken = new Float32Array(tokens * kvHeads * headDim);
        for (const [head, held] of there.stored(layer).entries()) {
          for (let token = 0; token < tokens; token++) {
            slots.push(head, held + token);
            for (let column = 0; column < headDim; column++) {
              byHead.push(number(head, token, column));
              byToken[(token * kvHeads + head) * headDim + column] = number(head, token, column);
            }
          }
        }
        here.append(layer, byToken, byToken.map((value) => -value), position);
        const buffers = there.buffers(layer);
        for (const [past, sign] of [[buffers.keys, 1], [buffers.values, -1]] as const) {
          const rows = Float32Array.from(byHead, (value) => sign * value);
          await scatter.run({
            past,
            slots: integers(slots, [kvHeads, tokens, 2]),
            rows: floats(rows, [kvHeads, tokens, headDim]),
          }, { into: { present: past } });
        }
      }
      there.commit(tokens, position);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function assertAlike({ there, here }: Pair): Promise<void> {
  assertEquals(there.mark(), here.mark());
  for (let layer = 0; layer < SHAPE.layers; layer++) {
    assertEquals(there.window(layer), here.window(layer));
    assertEquals(there.lengths(layer), here.lengths(layer));
    assertEquals(there.positions(layer), here.positions(layer));
    assertEquals(await there.entries(layer), here.entries(layer));
  }
}

const step = fc.oneof(
  fc.record({ do: fc.constant("append" as const), tokens: fc.nat({ max: 25 }) }),
  fc.record({ do: fc.constant("reserve" as const), tokens: fc.nat({ max: 40 }) }),
  fc.record({
    do: fc.constantFrom("mark", "hold", "rollback", "release", "fork", "back", "turn" as const),
    which: fc.nat({ max: 9 }),
  }),
);

Deno.test("sliding layers of a device hold what those of main memory hold, whatever is done to them", async () => {
  await using made = await bench();
  const { device } = made;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      const before = device.usage.tensors;
      {
        using stack = new DisposableStack();
        let pair = made.newPair();
        stack.use(pair.there);
        stack.use(pair.here);
        let next = 0;
        let text = 0;
        const marks: { readonly mark: CacheMark; readonly position: number }[] = [];
        const holds: Disposable[] = [];
        const rollBack = (mark: CacheMark, position: number) => {
          const able = pair.here.canRollBack(mark);
          // A device may keep more than is promised, never less.
          if (able) assert(pair.there.canRollBack(mark));
          if (!able) return;
          pair.here.rollback(mark);
          pair.there.rollback(mark);
          next = position;
          text++;
        };
        for (const one of steps) {
          const chosen = "which" in one ? marks[one.which % Math.max(1, marks.length)] : undefined;
          switch (one.do) {
            case "append":
              await made.append(pair, next, one.tokens, text);
              next += one.tokens;
              break;
            case "reserve":
              for (const cache of [pair.there, pair.here]) await cache.reserve(one.tokens);
              break;
            case "mark":
              marks.push({ mark: pair.here.mark(), position: next });
              break;
            case "hold": {
              const mark = pair.here.mark();
              marks.push({ mark, position: next });
              holds.push(stack.use(pair.here.hold(mark)), stack.use(pair.there.hold(mark)));
              break;
            }
            case "rollback":
              if (chosen && chosen.position <= next) rollBack(chosen.mark, chosen.position);
              break;
            case "back": {
              const tokens = Math.min(one.which, next);
              const { lengths } = pair.here.mark();
              rollBack({ lengths: lengths.map((length) => length - tokens) }, next - tokens);
              break;
            }
            case "release":
              for (const hold of holds.splice(0, 2)) hold[Symbol.dispose]();
              break;
            case "turn":
              for (const cache of [pair.there, pair.here]) {
                for (let layer = 0; layer < SHAPE.layers; layer++) {
                  const shown = cache.length(layer);
                  const to = [0, 1].map((head) =>
                    cache.positions(layer).slice(head * shown, (head + 1) * shown)
                  );
                  await cache.rerotate(layer, { frequencies: Float32Array.of(1), to });
                }
              }
              break;
            case "fork": {
              const old = pair;
              pair = {
                there: stack.use(await old.there.fork() as DeviceKvCache),
                here: stack.use(old.here.fork()),
              };
              old.there[Symbol.dispose]();
              old.here[Symbol.dispose]();
            }
          }
          await assertAlike(pair);
        }
      }
      assertEquals(device.usage.tensors, before);
    }),
    { seed: 20261127, numRuns: RUNS },
  );
});

Deno.test("a sliding layer of a device takes the memory of its window, and turns all keys by one distance", async () => {
  await using made = await bench();
  const pair = made.newPair();
  using there = pair.there;
  using here = pair.here;
  await made.append(pair, 0, 200, 0);
  for (let token = 0; token < 60; token++) {
    await made.append(pair, 200 + token, 1, 0);
    for (const [layer, window] of SHAPE.windows.entries()) {
      if (window === undefined) continue;
      assert(there.capacity(layer) <= mostSliding({ window, slack: SHAPE.slack }));
    }
  }
  const mark = here.mark();
  using _here = here.hold(mark);
  using _there = there.hold(mark);
  for (const [layer, window] of SHAPE.windows.entries()) {
    if (window === undefined) continue;
    const shown = there.length(layer);
    const to = [0, 1].map(() => Int32Array.from({ length: shown }, (_, token) => 7 + token));
    for (const cache of [there, here]) {
      await cache.rerotate(layer, { frequencies: Float32Array.of(0.1), to });
    }
    const [found, expected] = [await there.entries(layer), here.entries(layer)];
    assertEquals(found.map(({ positions }) => positions), expected.map((one) => one.positions));
    for (const [head, { keys }] of expected.entries()) {
      keys.forEach((key, at) => assert(Math.abs(key - (found[head]?.keys[at] ?? NaN)) < 1e-3));
    }
  }
});

Deno.test("sliding layers of a device refuse what those of main memory refuse", async () => {
  await using made = await bench();
  const pair = made.newPair();
  using there = pair.there;
  using _here = pair.here;
  // What one step brings stays until the next.
  await made.append(pair, 0, 50, 0);
  await made.append(pair, 50, 1, 0);
  await assertRejects(
    async () => await there.compact(0, [Int32Array.of(1), Int32Array.of(1)]),
    RangeError,
    "it slides",
  );
  const early = { lengths: [10, 10, 10] };
  assertEquals(there.canRollBack(early), false);
  assertThrows(() => there.rollback(early), RangeError, "its window has moved on");
  assertThrows(() => there.hold(early), RangeError, "its window has moved on");
  await assertRejects(async () => await there.fork(early), RangeError, "its window has moved on");
});
