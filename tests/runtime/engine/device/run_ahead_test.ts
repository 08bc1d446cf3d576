import { assertEquals } from "@std/assert";
import { greedyToken } from "../../../../runtime/sampling/greedy.ts";
import { testProvider } from "../../../_device.ts";
import { twinModel } from "../../../_device_model.ts";
import { newSequence, randomIds } from "../../../_test_model.ts";

// What runs ahead is captured, which needs a GPU, or a software one.
const ignore = testProvider() !== "webgpu";
const CHOSEN = [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0];

Deno.test(
  "steps that were run ahead give the logits of steps that were not",
  { ignore },
  async () => {
    await using twin = await twinModel("tiny-llama");
    await using hasty = await twinModel("tiny-llama", { now: () => 0 });
    const ids = randomIds(20, 320, 4);
    const told: number[][] = [];
    const kernels: string[] = [];
    hasty.there.device.onCrossing = ({ kernel, name }) => kernels.push(`${kernel} ${name}`);
    for (const { there: { engine } } of [twin, hasty]) {
      const sequence = newSequence(engine);
      using cache = sequence.cache;
      let { logits } = await engine.advance(sequence, { ids });
      const all: number[] = [];
      for (const other of CHOSEN) {
        // Now and then another token than the likeliest is taken.
        const id = other === 0 ? greedyToken(logits) : other;
        ({ logits } = await engine.advance(sequence, { ids: [id] }));
        all.push(id, ...logits);
      }
      // What was run ahead is of no use behind a rollback to other tokens, a probe or a fork.
      const mark = cache.mark();
      const { position } = sequence;
      ({ logits } = await engine.advance(sequence, { ids: [greedyToken(logits)] }));
      const next = greedyToken(logits);
      await engine.probe(sequence, { ids: [1, 2, 3] });
      ({ logits } = await engine.advance(sequence, { ids: [next] }));
      all.push(...logits);
      cache.rollback(mark);
      sequence.position = position;
      ({ logits } = await engine.advance(sequence, { ids: [9] }));
      all.push(...logits);
      ({ logits } = await engine.advance(sequence, { ids: [next] }));
      all.push(...logits);
      assertEquals(cache.length(0), ids.length + CHOSEN.length + 2);
      told.push(all);
    }
    const [slow = [], fast = []] = told;
    assertEquals(fast.length, slow.length);
    for (const [index, value] of slow.entries()) {
      if (Math.abs(value - (fast[index] ?? NaN)) > 1e-4) throw new Error(`number ${index} differs`);
    }
    const turns = kernels.filter((one) => one === "ahead_step logits").length;
    if (turns >= CHOSEN.length) throw new Error(`${turns} turns for ${CHOSEN.length} steps`);
  },
);

Deno.test(
  "a prompt that fills the context, and a cache without room, are not run over",
  { ignore },
  async () => {
    await using hasty = await twinModel("tiny-llama", { now: () => 0, context: 30 });
    const { engine } = hasty.there;
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    let { logits } = await engine.advance(sequence, {
      ids: randomIds(engine.config.context - 3, 320, 2),
    });
    for (let step = 0; step < 3; step++) {
      ({ logits } = await engine.advance(sequence, { ids: [greedyToken(logits)] }));
    }
    assertEquals([sequence.position, engine.config.context], [30, 30]);
    assertEquals(cache.length(0), engine.config.context);
  },
);
