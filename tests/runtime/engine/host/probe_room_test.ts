import { assertEquals, assertNotEquals } from "@std/assert";
import { globalLayersOf } from "../../../../runtime/cache/global_layers.ts";
import { newSequence, randomIds, TINY, tinyModel, WINDOWED } from "../../../_test_model.ts";

const HELD = 40;
const SOFT = 7;

for (const name of [...TINY, ...WINDOWED]) {
  Deno.test(`probe() of ${name} writes behind the cache where there is room, and leaves no trace`, async () => {
    await using tiny = await tinyModel(name);
    const { engine, config } = tiny.model;
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    cache.reserve(HELD + SOFT);
    const ids = randomIds(HELD + SOFT + 1, config.vocabulary);
    await engine.advance(sequence, { ids: ids.slice(0, HELD) });
    using full = cache.fork();
    const probed = ids.slice(HELD, HELD + SOFT);
    const read = async (of: typeof sequence) => {
      const { logits, attentionSums } = await engine.probe(of, { ids: probed, observe: true });
      return { logits, sums: attentionSums.map(({ data }) => data) };
    };
    const held = Array.from({ length: cache.layers }, (_, layer) => cache.entries(layer));
    const { bytes } = cache;
    const there = await read(sequence);
    // A fork has no room: its layers are copied.
    assertEquals(there, await read({ ...sequence, cache: full }));
    assertEquals(held.map((_, layer) => cache.entries(layer)), held);
    assertEquals([cache.bytes, sequence.position], [bytes, HELD]);

    const { headDim } = cache;
    for (const global of globalLayersOf(cache)) {
      const { keys = new Float32Array(), slots = 0 } = cache.slots(global, 0) ?? {};
      const behind = keys.subarray(HELD * headDim, slots * headDim);
      assertNotEquals(behind, new Float32Array(behind.length), "the room was not written into");
    }

    const next = { ids: ids.slice(-1) };
    const [a, b] = [
      await engine.advance(sequence, next),
      await engine.advance({
        ...sequence,
        cache: full,
        position: HELD,
      }, next),
    ];
    assertEquals(a.logits, b.logits);
  });
}
