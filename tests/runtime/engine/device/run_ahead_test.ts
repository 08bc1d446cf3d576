import { assert, assertEquals } from "@std/assert";
import { LOGIT_BLOCK, rowsOfStep } from "../../../../kernels/device/likeliest_token.ts";
import type { GenerateOptions } from "../../../../runtime/session/generate.ts";
import { greedyToken } from "../../../../runtime/sampling/greedy.ts";
import { testProvider } from "../../../_device.ts";
import { twinModel } from "../../../_device_model.ts";
import { newSequence, randomIds } from "../../../_test_model.ts";
import { snapKv } from "../../../../policies/snapkv.ts";
import { mostSliding } from "../../../../runtime/cache/windows.ts";

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

const DRAWN: readonly GenerateOptions[] = [
  { temperature: 0.8, topK: 40, topP: 0.95, seed: 3 },
  // As likely as one another, most of them: more than a device looks at.
  { temperature: 1, seed: 4 },
  { temperature: 0.7, minP: 0.1, repetitionPenalty: 1.3, seed: 5 },
  { repetitionPenalty: 1.5 },
  {},
];

Deno.test(
  "answers that are drawn on a device are those of a sampler, and their logits stay there",
  { ignore },
  async () => {
    await using hasty = await twinModel("tiny-llama", { now: () => 0 });
    const { device } = hasty.there;
    const ids = randomIds(20, 320, 4);
    const bytes: Record<string, number> = {};
    device.onCrossing = ({ kernel, name, direction, bytes: more }) => {
      const key = `${direction} ${kernel} ${name}`;
      bytes[key] = (bytes[key] ?? 0) + more;
    };
    await using host = hasty.host.model.session({});
    await using there = hasty.session({});
    for (const options of DRAWN) {
      const answers: (readonly number[])[] = [];
      for (const session of [host, there]) {
        await session.read({ ids });
        const before = bytes["out ahead_step logits"] ?? 0;
        // A second answer goes on with other random numbers than the first.
        for (const maxTokens of [9, 5]) {
          const generation = session.generate({ ...options, maxTokens });
          for await (const _ of generation);
          answers.push(generation.ids);
        }
        const brought = (bytes["out ahead_step logits"] ?? 0) - before;
        // The second answer begins with the last token of the first, which is read as a prompt is.
        const prompt = rowsOfStep(320) * LOGIT_BLOCK * 4;
        if (options.temperature === undefined) assert(brought <= prompt, `${brought} bytes`);
      }
      assertEquals(answers.slice(2), answers.slice(0, 2), JSON.stringify(options));
    }
    device.onCrossing = undefined;
    const told = bytes["out ahead_step told"] ?? 0;
    assert(told > 0 && told < 4000, `${told} bytes of ids`);
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

// Layers of both kinds; each takes a software device half a minute.
for (const name of ["tiny-gemma3"]) {
  Deno.test(
    `answers of ${name}, whose window slides, are run ahead and drawn on a device as in main memory`,
    { ignore },
    async () => {
      await using hasty = await twinModel(name, { now: () => 0 });
      const { device, engine: { config } } = hasty.there;
      const window = Math.max(...config.layerKinds.map(({ window = 0 }) => window));
      // So long that sliding layers get other buffers while the answer is written.
      const most = mostSliding({ window });
      const long = randomIds(most - 6, config.vocabulary, 4);
      const policy = snapKv({ window: 4, kernel: 3 });
      let told = 0;
      device.onCrossing = ({ kernel, name, bytes }) => {
        if (kernel === "ahead_step" && name === "told") told += bytes;
      };
      const short = randomIds(7, config.vocabulary, 5);
      const asked = [
        { ids: short, options: { temperature: 0.8, topK: 40, seed: 3 } },
        { ids: long, options: {} },
      ];
      for (const { ids, options } of asked) {
        await using host = hasty.host.model.session({ policy, budget: 12 });
        await using there = hasty.session({ policy, budget: 12 });
        const answers: (readonly number[])[] = [];
        for (const session of [host, there]) {
          await session.read({ ids });
          using mark = await session.mark();
          for (const maxTokens of [14, 5]) {
            const generation = session.generate({ ...options, maxTokens });
            for await (const _ of generation);
            answers.push(generation.ids);
            // What was run ahead behind it means nothing any more.
            await session.rollback(mark);
          }
        }
        assertEquals(answers.slice(2), answers.slice(0, 2), `${ids.length} tokens`);
      }
      device.onCrossing = undefined;
      assert(told > 0, "nothing was run ahead");
    },
  );
}
