import { assert, assertEquals } from "@std/assert";
import { kvZip } from "../../policies/kvzip.ts";
import type { ScorerPolicy } from "../../policies/policy.ts";
import { rerotate } from "../../policies/rerotate.ts";
import { whileDecoding } from "../../policies/while_decoding.ts";
import { whileReading } from "../../policies/while_reading.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { newSequence, randomIds, tinyModel } from "../_test_model.ts";
import { testReplayGoldens } from "./_replay_goldens.ts";

testReplayGoldens(kvZip({ chunk: 40 }));

Deno.test("kvZip() takes the most over the query heads of a group", async () => {
  const layer = fakeLayer({
    ...{ heads: 4, kvHeads: 2, headDim: 1, length: 3 },
    attention: new Float32Array([1, 2, 0, 3, 1, 0, 0, 0, 9, 5, 0, 8]),
  });
  assertEquals(await kvZip().score(layer), new Float32Array([3, 2, 0, 5, 0, 9]));
});

Deno.test("kvZip() gives the budget of all layers to the best tokens, the sinks aside", async () => {
  const { allocateHeads, acrossLayers } = kvZip();
  assertEquals(acrossLayers, true);
  const scores = [
    new Float32Array([Infinity, 9, 8, 7]),
    new Float32Array([Infinity, 1, 6, 1]),
    new Float32Array([Infinity, 0, 0, 0]),
  ];
  assertEquals(await allocateHeads?.({ scores, keep: 2 }), [4, 1, 1]);
  assertEquals(await allocateHeads?.({ scores, keep: 7 / 3 }), [4, 2, 1]);
});

const layerwise = async (policy: ScorerPolicy) => {
  await using test = await tinyModel("tiny-llama");
  const ids = Array.from({ length: 60 }, (_, index) => 3 + index % 50);
  await using session = test.model.session({ policy, budget: 15 });
  const { kept } = await session.read({ ids });
  return kept.map((heads) => heads.map(({ length }) => length));
};

Deno.test("kvZip({ layerwise }) keeps as much of each layer; without it layers differ", async () => {
  const sums = (counts: number[][]) => counts.map((heads) => heads.reduce((a, b) => a + b));
  const alike = await layerwise(kvZip({ layerwise: true }));
  assertEquals(sums(alike), [30, 30, 30]);
  const apart = sums(await layerwise(kvZip()));
  assertEquals(apart.reduce((a, b) => a + b), 90);
  assert(new Set(apart).size > 1, `${apart}`);
});

Deno.test("kvZip() judges by the whole text again behind an earlier eviction", async () => {
  await using test = await tinyModel("tiny-llama");
  const ids = Array.from({ length: 50 }, (_, index) => 3 + (index * 7) % 90);
  await using session = test.model.session({ policy: kvZip({ chunk: 16 }), budget: 20 });
  await session.read({ ids: ids.slice(0, 40) });
  const { kept } = await session.append({ ids: ids.slice(40) });
  const held = kept.flat().reduce((sum, { length }) => sum + length, 0);
  assertEquals(held, 20 * 6);
});

Deno.test("kvZip() judges every token that is held where keys were rerotated, the late ones too", async () => {
  await using test = await tinyModel("tiny-llama");
  const ids = Array.from({ length: 60 }, (_, index) => 3 + (index * 7) % 90);
  const policy = rerotate({ inner: kvZip({ chunk: 16, sinks: 1 }) });
  await using session = test.model.session({ policy, budget: 20 });
  await session.read({ ids: ids.slice(0, 40) });
  const { scores } = await session.append({ ids: ids.slice(40) }, { scores: true });
  for (const ofLayer of scores) {
    assert(ofLayer.length > 0);
    // The first token is seen by every part, and gets what its own part gives.
    assert(ofLayer.every((score) => score > 0), `${ofLayer}`);
  }
});

Deno.test("kvZip() keeps pinned tokens beside the best of all layers", async () => {
  await using test = await tinyModel("tiny-llama");
  const { engine } = test.model;
  const sequence = newSequence(engine);
  using cache = sequence.cache;
  const { kept } = await readPrompt({
    ...{ engine, sequence, ids: randomIds(40, test.model.config.vocabulary, 5), chunk: 64 },
    ...{ policy: kvZip(), budget: 10, pinned: [{ from: 20, to: 26 }], scores: false },
    ...{ facts: await test.model.facts(), now: () => 0 },
  });
  const held = kept.flat();
  assertEquals(held.reduce((sum, { length }) => sum + length, 0), 10 * held.length);
  for (const indices of held) {
    for (let token = 20; token < 26; token++) assert(indices.includes(token), `${indices}`);
  }
  assertEquals(cache.lengths(0).length, 2);
});

Deno.test("kvZip() works while a text is read and while an answer is written", async () => {
  await using test = await tinyModel("tiny-gemma3");
  const ids = randomIds(120, test.model.config.vocabulary, 8);
  const inner = kvZip({ chunk: 32 });
  for (
    const policy of [
      whileReading({ inner, every: 40, keep: 32 }),
      whileDecoding({ inner, every: 4, target: 16 }),
    ]
  ) {
    await using session = test.model.session({ policy, budget: 16 });
    await session.read({ ids });
    const answer = session.generate({ maxTokens: 12 });
    for await (const _ of answer);
    const { readEvictions, decodeEvictions, held } = session.stats();
    assert(readEvictions + decodeEvictions > 0, policy.name);
    assert(held.length > 0);
  }
});
