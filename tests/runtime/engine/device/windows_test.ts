import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Crossing } from "../../../../kernels/device/device.ts";
import { assertClose } from "../../../_close.ts";
import { testProvider } from "../../../_device.ts";
import { twinModel } from "../../../_device_model.ts";
import { newSequence, WINDOWED } from "../../../_test_model.ts";
import { mostSliding } from "../../../../runtime/cache/windows.ts";
import { openGolden } from "../../_golden_file.ts";
import { logitsInChunks } from "../../_golden_steps.ts";

/** Smaller than windows, as large, larger. A GPU in software takes two seconds for each. */
const CHUNKS = testProvider() === "webgpu" ? [[31], [5, 40]] : [[31], [32], [33], [2, 1], [5, 40]];

for (const name of WINDOWED) {
  const golden = openGolden(name);
  const ids = golden.integers("input_ids");

  Deno.test(`on a device, the chunks that ${name} is read in change nothing`, async () => {
    await using twin = await twinModel(name);
    const { engine } = twin.there;
    const logitsOf = async (sizes: readonly number[]) => {
      const sequence = newSequence(engine);
      using _cache = sequence.cache;
      return await logitsInChunks(engine, sequence, ids, sizes);
    };
    const expected = golden.floats("logits");
    for (const sizes of CHUNKS) {
      assertClose(await logitsOf(sizes), expected, { absolute: 1e-3 }, `chunks of ${sizes}`);
    }
  });

  Deno.test(`on a device, the golden attention of ${name} is observed in its global layers`, async () => {
    await using twin = await twinModel(name);
    const { engine } = twin.there;
    const sequence = newSequence(engine);
    using _cache = sequence.cache;
    const step = await engine.advance(sequence, { ids, observe: true, queries: true });
    using held = new DisposableStack();
    for (const one of [...step.attentionSums, ...step.queries]) held.use(one);
    const global = engine.config.layerKinds.flatMap(({ window }, layer) =>
      window === undefined ? [layer] : []
    );
    assertEquals(step.attentionSums.length, global.length);
    for (const [index, layer] of global.entries()) {
      const sums = await step.attentionSums[index]?.floats();
      assertClose(sums ?? [], golden.floats(`attention_sum.${layer}`), { absolute: 1e-4 }, name);
    }
    for (const [layer, queries] of step.queries.entries()) {
      const floats = await queries.floats();
      assertClose(floats, golden.floats(`q.${layer}`), { absolute: 1e-4 }, `q.${layer}`);
    }
  });

  Deno.test(`on a device, rolling ${name} back over its window gives the numbers that were there`, async () => {
    await using twin = await twinModel(name);
    const { engine } = twin.there;
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    await engine.advance(sequence, { ids: ids.slice(0, 50) });
    const mark = cache.mark();
    const unheld = cache.mark();
    const hold = cache.hold(mark);
    const read = async (on: typeof sequence) => [
      ...(await engine.advance(on, { ids: ids.slice(50, 60) })).logits,
      ...(await engine.advance(on, { ids: ids.slice(60, 61) })).logits,
    ];
    const first = await read(sequence);
    for (let time = 0; time < 3; time++) await engine.advance(sequence, { ids });
    // A fork rolls back by itself, and what it writes is its own.
    const fork = await cache.fork(mark);
    const forked = { ...sequence, cache: fork, position: 50, planned: 0 };
    assertClose(await read(forked), first, { absolute: 1e-5 }, "a fork");
    fork[Symbol.dispose]();
    cache.rollback(mark);
    sequence.position = 50;
    sequence.planned = 0;
    assertClose(await read(sequence), first, { absolute: 1e-5 }, "rolled back");
    hold[Symbol.dispose]();
    for (let time = 0; time < 3; time++) await engine.advance(sequence, { ids });
    assertEquals(cache.canRollBack(unheld), false);
    assertThrows(() => cache.rollback(unheld), RangeError, "its window has moved on");
  });

  Deno.test(`on a device, sliding layers of ${name} take the memory of their windows, and none of it crosses`, async () => {
    await using twin = await twinModel(name);
    const { device, engine } = twin.there;
    const { layerKinds, kvHeads, headDim } = engine.config;
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    assert(cache.home === "device");
    const seen: Crossing[] = [];
    device.onCrossing = (crossing) => seen.push(crossing);
    for (let time = 0; time < 6; time++) await engine.advance(sequence, { ids });
    for (let time = 0; time < 5; time++) await engine.advance(sequence, { ids: [time] });
    device.onCrossing = undefined;
    for (const [layer, { window }] of layerKinds.entries()) {
      if (window === undefined) assertEquals(cache.length(layer), 6 * ids.length + 5);
      else {
        assertEquals(cache.length(layer), window - 1);
        assert(cache.capacity(layer) <= mostSliding({ window }), `${cache.capacity(layer)} slots`);
      }
    }
    const entry = kvHeads * headDim * 4;
    const out = seen.filter(({ direction }) => direction === "out");
    // Captured steps say which token they read as well.
    assert(
      out.every((one) => one.name === "logits" || one.name === "told"),
      out.map((one) => one.name).join(),
    );
    const sent = seen.filter(({ direction }) => direction === "in")
      .reduce((sum, { bytes }) => sum + bytes, 0);
    assert(sent < 6 * ids.length * layerKinds.length * 2 * entry, `${sent} bytes`);
  });
}
