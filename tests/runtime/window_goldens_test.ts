import { assertEquals } from "@std/assert";
import { assertClose } from "../_close.ts";
import { newSequence, randomIds, tinyModel, WINDOWED } from "../_test_model.ts";
import { WINDOW_MODELS, windowModel } from "../_window_models.ts";
import { openGolden } from "./_golden_file.ts";
import { checkContinuation, logitsInChunks } from "./_golden_steps.ts";

for (const name of WINDOWED) {
  const golden = openGolden(name);
  const ids = golden.integers("input_ids");

  Deno.test(`engine.advance() gives the golden logits, queries and keys of ${name}`, async () => {
    await using test = await tinyModel(name);
    const { engine, config } = test.model;
    const rows = ids.map((_, index) => index);
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    const step = await engine.advance(sequence, { ids, rows, queries: true });
    assertClose(step.logits, golden.floats("logits"), { absolute: 1e-3 }, "logits");
    for (let layer = 0; layer < config.layers; layer++) {
      const within = (actual: Float32Array | undefined, tensor: string) =>
        assertClose(actual ?? [], golden.floats(tensor), { absolute: 1e-4 }, tensor);
      within(step.queries[layer]?.data, `q.${layer}`);
      within(step.entries[layer]?.keys, `k.${layer}`);
      const window = config.layerKinds[layer]?.window;
      assertEquals(cache.window(layer), window);
      assertEquals(cache.length(layer), window === undefined ? 96 : 31);
    }
  });

  Deno.test(`engine.advance() continues ${name} with the golden greedy tokens, past its window`, async () => {
    await using test = await tinyModel(name);
    await checkContinuation(test.model.engine, golden, [0, 15, 31, 47]);
  });

  Deno.test(`engine.advance() observes the golden attention of ${name} in its global layers`, async () => {
    await using test = await tinyModel(name);
    const { engine, config } = test.model;
    const globals = [...config.layerKinds.entries()].filter(([, { window }]) =>
      window === undefined
    );
    for (const chunk of [96, 33]) {
      const sequence = newSequence(engine);
      using _cache = sequence.cache;
      const sums = globals.map(() => new Float32Array(config.heads * ids.length));
      for (let from = 0; from < ids.length; from += chunk) {
        const read = Math.min(from + chunk, ids.length);
        const { attentionSums } = await engine.advance(sequence, {
          ids: ids.slice(from, read),
          observe: true,
        });
        assertEquals(attentionSums.length, globals.length);
        for (const [index, { data }] of attentionSums.entries()) {
          for (const [at, value] of data.entries()) {
            const to = Math.floor(at / read) * ids.length + at % read;
            const of = sums[index];
            if (of) of[to] = (of[to] ?? 0) + value;
          }
        }
      }
      for (const [index, [layer]] of globals.entries()) {
        const expected = golden.floats(`attention_sum.${layer}`);
        assertClose(sums[index] ?? [], expected, { absolute: 1e-4 }, `layer ${layer}`);
      }
    }
  });

  Deno.test(`the chunks that ${name} is read in change nothing, around its window or elsewhere`, async () => {
    await using test = await tinyModel(name);
    const { engine } = test.model;
    const logitsOf = async (sizes: readonly number[]) => {
      const sequence = newSequence(engine);
      using cache = sequence.cache;
      const all = await logitsInChunks(engine, sequence, ids, sizes);
      const held = Array.from({ length: cache.layers }, (_, layer) => [
        ...cache.positions(layer),
        ...cache.keys(layer),
      ]);
      return [...all, ...held.flat()];
    };
    const whole = await logitsOf([96]);
    for (const sizes of [[31], [32], [33], [1], [2], [30, 1], [64, 1, 1], [5, 40]]) {
      assertClose(await logitsOf(sizes), whole, { absolute: 1e-4 }, `chunks of ${sizes}`);
    }
  });

  Deno.test(`rolling ${name} back over its window gives the very numbers that were there`, async () => {
    await using test = await tinyModel(name);
    const { engine } = test.model;
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    await engine.advance(sequence, { ids: ids.slice(0, 50) });
    const mark = cache.mark();
    using _hold = cache.hold(mark);
    const read = async () => [
      ...(await engine.advance(sequence, { ids: ids.slice(50, 60) })).logits,
      ...(await engine.advance(sequence, { ids: ids.slice(60, 61) })).logits,
    ];
    const first = await read();
    for (let time = 0; time < 10; time++) await engine.advance(sequence, { ids });
    cache.rollback(mark);
    sequence.position = 50;
    sequence.planned = 0;
    assertEquals(await read(), first);
  });
}

Deno.test("engine.advance() decodes on ragged global layers beside sliding ones, token by token or at once", async () => {
  const name = WINDOW_MODELS.at(-1) ?? "";
  await using test = await windowModel(name);
  const { engine, config: { kvHeads, layerKinds, vocabulary } } = test.model;
  const ids = randomIds(70, vocabulary);
  const decode = async (sizes: readonly number[]) => {
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    await engine.advance(sequence, { ids: ids.slice(0, 60) });
    const kept = Array.from(
      { length: kvHeads },
      (_, head) => Int32Array.from({ length: 20 + 9 * head }, (_, at) => 2 * at),
    );
    for (const [layer, { window }] of layerKinds.entries()) {
      if (window === undefined) cache.compact(layer, kept);
    }
    const logits: number[] = [];
    let from = 60;
    for (const size of sizes) {
      const rows = Array.from({ length: size }, (_, row) => row);
      const step = await engine.advance(sequence, { ids: ids.slice(from, from + size), rows });
      logits.push(...step.logits);
      from += size;
    }
    const global = layerKinds.findIndex(({ window }) => window === undefined);
    assertEquals(cache.lengths(global), kept.map(({ length }) => length + 10));
    assertEquals(cache.length(0), 23);
    return logits;
  };
  const apart = await decode(new Array<number>(10).fill(1));
  for (const sizes of [[10], [3, 7], [1, 9]]) {
    assertClose(await decode(sizes), apart, { absolute: 1e-4 }, `${sizes}`);
  }
});
