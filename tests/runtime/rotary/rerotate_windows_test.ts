import { assertEquals } from "@std/assert";
import { globalLayers } from "../../../runtime/checkpoint/layer_kinds.ts";
import { prefill } from "../../../runtime/engine/prefill.ts";
import { markBefore, rollbackSequence } from "../../../runtime/engine/sequence.ts";
import { rerotateKeys } from "../../../runtime/rotary/rerotate.ts";
import { assertClose } from "../../_close.ts";
import { newSequence, randomIds } from "../../_test_model.ts";
import { WINDOW_MODELS, windowModel } from "../../_window_models.ts";

/** Layers without RoPE, and windows of other families and sizes. */
const OTHERS = ["tiny-smollm3", "tiny-qwen2-window", "tiny-qwen3-window", "tiny-gemma3-odd"];

for (const name of [...WINDOW_MODELS, ...OTHERS]) {
  Deno.test(`rerotateKeys() moves the windows of ${name} as wholes, each layer by its own RoPE`, async () => {
    await using test = await windowModel(name);
    const { engine, config } = test.model;
    const ids = randomIds(120, config.vocabulary);
    const more = randomIds(9, config.vocabulary, 3);
    const read = async (position: number) => {
      const sequence = { ...newSequence(engine), position };
      await prefill(engine, sequence, ids, { chunk: 32, observe: "none" });
      return sequence;
    };
    // The same text, read where it is rotated to: attention sees distances alone.
    const [moved, there] = [await read(400), await read(0)];
    using _moved = moved.cache;
    using _there = there.cache;
    await rerotateKeys(moved, config, there.position - longest(moved.cache, config.layers));
    assertEquals([moved.position, moved.positionMap?.shift], [there.position, 400]);
    for (let layer = 0; layer < config.layers; layer++) {
      assertEquals(moved.cache.positions(layer), there.cache.positions(layer));
      assertClose(moved.cache.keys(layer), there.cache.keys(layer), { absolute: 1e-3 }, "keys");
    }
    for (const sequence of [moved, there]) {
      // What lies before the windows was moved with them.
      rollbackSequence(sequence, markBefore(sequence, 20));
      await prefill(engine, sequence, ids.slice(100), { chunk: 7, observe: "none" });
    }
    const [one, two] = [
      await prefill(engine, moved, more, { chunk: 4, observe: "none" }),
      await prefill(engine, there, more, { chunk: 4, observe: "none" }),
    ];
    assertClose(one.logits, two.logits, { absolute: 2e-3 }, "logits");
  });

  Deno.test(`rerotateKeys() closes the gaps of ${name}'s global layers beside its windows`, async () => {
    await using test = await windowModel(name);
    const { engine, config } = test.model;
    const ids = randomIds(120, config.vocabulary);
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    await prefill(engine, sequence, ids, { chunk: 32, observe: "none" });
    const kept = Int32Array.from({ length: 20 }, (_, index) => index * 6);
    for (const layer of globalLayers(config)) {
      cache.compact(layer, Array.from({ length: config.kvHeads }, () => kept));
    }
    await rerotateKeys(sequence, config);
    const next = longest(cache, config.layers);
    assertEquals(sequence.position, next);
    for (let layer = 0; layer < config.layers; layer++) {
      const length = cache.length(layer);
      const [head = []] = [cache.head(layer, 0).positions];
      assertEquals([...head], Array.from({ length }, (_, index) => next - length + index));
      const global = cache.window(layer) === undefined;
      assertEquals(sequence.positionMap?.tokens[layer]?.length, global ? config.kvHeads : 0);
    }
  });
}

function longest(
  cache: { length(layer: number): number },
  layers: number,
): number {
  return Math.max(...Array.from({ length: layers }, (_, layer) => cache.length(layer)));
}
