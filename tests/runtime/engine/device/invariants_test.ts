import { assert, assertEquals } from "@std/assert";
import {
  full,
  h2o,
  judgeQ,
  kvZip,
  kvZipPlus,
  lookaheadQCache,
  oracle,
  type Policy,
  snapKv,
} from "../../../../policies/mod.ts";
import { gatherEvidence } from "../../../../runtime/evidence/gather.ts";
import { observationFor } from "../../../../runtime/evidence/observe.ts";
import { prefill } from "../../../../runtime/engine/prefill.ts";
import type { KvCache } from "../../../../runtime/cache/kv_cache.ts";
import { assertClose } from "../../../_close.ts";
import { type TwinModel, twinModel } from "../../../_device_model.ts";
import { newSequence, randomIds } from "../../../_test_model.ts";

const PROMPT = 40;

const judges: readonly Policy[] = [
  snapKv({ window: 4, kernel: 3 }),
  h2o(),
  judgeQ({ window: 4 }),
];

function promptOf(twin: TwinModel, seed: number): number[] {
  return randomIds(PROMPT, twin.host.model.config.vocabulary, seed);
}

async function answer(
  twin: TwinModel,
  policy: Policy,
  { budget, ids, seed }: {
    readonly budget: number;
    readonly ids: readonly number[];
    readonly seed?: number;
  },
): Promise<readonly number[]> {
  await using session = twin.session({ policy, budget });
  const sampling = seed === undefined ? {} : { temperature: 1, seed };
  const generation = session.generate({ ids: [...ids] }, { maxTokens: 8, ...sampling });
  for await (const _ of generation);
  return [...generation.ids];
}

Deno.test("invariant 1 on a device: a budget that covers the prompt changes no token", async () => {
  await using twin = await twinModel("tiny-llama");
  const ids = promptOf(twin, 1);
  const expected = await answer(twin, full(), { budget: 1, ids });
  for (const policy of judges) {
    assertEquals(await answer(twin, policy, { budget: PROMPT, ids }), expected);
    assertEquals(await answer(twin, policy, { budget: PROMPT + 7, ids }), expected);
  }
});

Deno.test("invariant 2 on a device: the chunk size changes neither the logits nor what is kept", async () => {
  await using twin = await twinModel("tiny-qwen3");
  const ids = promptOf(twin, 2);
  for (const policy of judges) {
    await using whole = twin.session({ policy, budget: 12, chunk: 512 });
    await using parts = twin.session({ policy, budget: 12, chunk: 7 });
    const [expected, actual] = [await whole.read({ ids }), await parts.read({ ids })];
    assertClose(actual.logits, expected.logits, { absolute: 1e-4 }, "logits");
    assertEquals(actual.kept, expected.kept);
  }
});

Deno.test("invariant 3 on a device: exactly the budget is kept, ascending, the protected tokens among it", async () => {
  await using twin = await twinModel("tiny-llama31");
  const ids = promptOf(twin, 3);
  await using session = twin.session({ policy: snapKv({ window: 4, kernel: 3 }), budget: 11 });
  const { kept } = await session.read({ ids }, { protect: [{ from: 5, to: 8 }] });
  for (const indices of kept.flat()) {
    assertEquals(indices.length, 11);
    assertEquals([...new Set(indices)].sort((a, b) => a - b), [...indices]);
    assertEquals([...indices.slice(-4)], [36, 37, 38, 39]);
    for (const certain of [5, 6, 7]) assert(indices.includes(certain), `${indices}`);
  }
});

Deno.test("invariant 4 on a device: decoding on the compacted cache equals hiding what was evicted", async () => {
  for (const name of ["tiny-mistral", "tiny-qwen2"]) {
    await using twin = await twinModel(name);
    const ids = promptOf(twin, 4);
    const { engine } = twin.there;
    const kept = Array.from(
      { length: engine.config.layers },
      (_, layer) =>
        Array.from({ length: engine.config.kvHeads }, (_, head) =>
          // Heads keep other tokens, and other numbers of them.
          Int32Array.from(ids.keys()).filter((index) =>
            (index * 7 + layer + head) % (3 + head) === 0
          )),
    );
    const visible = kept.map((heads) => heads.map((indices) => new Set(indices)));
    const { reference } = twin.host;
    const masked = reference.run([7], {
      cache: reference.run(ids).cache,
      visible: (layer, head, index) =>
        index >= ids.length || (visible[layer]?.[head]?.has(index) ?? false),
    });
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    await engine.advance(sequence, { ids });
    for (const [layer, heads] of kept.entries()) await cache.compact(layer, heads);
    const { logits } = await engine.advance(sequence, { ids: [7] });
    assertClose(logits, masked.logits, { absolute: 1e-4 }, name);
  }
});

async function snapshot(cache: KvCache) {
  const layers = [];
  for (let layer = 0; layer < cache.layers; layer++) layers.push(await cache.entries(layer));
  return layers;
}

Deno.test("invariant 5 on a device: soft tokens, answers and drafts leave no trace", async () => {
  await using twin = await twinModel("tiny-llama31");
  const { engine, device } = twin.there;
  const facts = await twin.host.model.facts();
  const ids = promptOf(twin, 5);
  const drafts = lookaheadQCache({ steps: 3, window: 4, kernel: 3 });
  const replays = [kvZip({ chunk: 20 }), kvZipPlus({ chunk: 9 })];
  for (
    const policy of [judgeQ(), oracle({ tokens: 3 }), oracle({ ids: [4, 5] }), drafts, ...replays]
  ) {
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    {
      using scope = new DisposableStack();
      const prefilled = await prefill(engine, sequence, ids, {
        chunk: 16,
        observe: observationFor(policy.evidence),
        scope,
      });
      const before = { layers: await snapshot(cache), position: sequence.position };
      const keep = new Array<number>(engine.config.layers).fill(12);
      const request = { engine, sequence, facts, prefilled, text: ids, keep, scope };
      const { attention } = await gatherEvidence(policy.evidence, request);
      assertEquals(attention?.length, engine.config.layers);
      assertEquals({ layers: await snapshot(cache), position: sequence.position }, before);
    }
    // What was gathered is gone with its scope: the cache alone is left, and what counts slots.
    const { tensors } = device.usage;
    cache[Symbol.dispose]();
    assertEquals(tensors - device.usage.tensors, 2 * engine.config.layers);
  }
});

Deno.test("a draft that nobody asked for counts all tokens alike, on a device as well", async () => {
  await using twin = await twinModel("tiny-llama31");
  const facts = await twin.host.model.facts();
  const ids = promptOf(twin, 5);
  const { evidence } = judgeQ();
  for (const engine of [twin.host.model.engine, twin.there.engine]) {
    const sequence = newSequence(engine);
    using _cache = sequence.cache;
    using scope = new DisposableStack();
    const observe = observationFor(evidence);
    const prefilled = await prefill(engine, sequence, ids, { chunk: 16, observe, scope });
    const request = { engine, sequence, facts, prefilled, text: ids, keep: [], scope };
    const { draft = [] } = await gatherEvidence(evidence, { ...request, answerFollows: false });
    assertEquals(draft.length, engine.config.layers);
    for (const rows of draft) {
      assertEquals(await rows.floats(), new Float32Array(engine.config.heads * PROMPT).fill(1));
    }
  }
});

Deno.test("invariant 6 on a device: the same seed gives the same answer, and a policy cannot change the cache", async () => {
  await using twin = await twinModel("tiny-llama");
  const ids = promptOf(twin, 6);
  const tame: Policy = {
    name: "tame",
    evidence: { kind: "window", size: 4 },
    score: async (layer) => (await layer.keys()).slice(0, layer.kvHeads * layer.length),
  };
  const vandal: Policy = {
    ...tame,
    name: "vandal",
    async score(layer) {
      const scores = await tame.score(layer);
      for (const array of [await layer.keys(), await layer.values(), await layer.attention()]) {
        array.fill(9);
      }
      layer.positions.fill(9);
      return scores;
    },
  };
  const options = { budget: 10, ids, seed: 4 };
  const expected = await answer(twin, tame, options);
  assertEquals(await answer(twin, vandal, options), expected);
  assertEquals(await answer(twin, tame, options), expected);
});

Deno.test("invariant 7 on a device: buffers are those of the kept entries, and 10 answers leave none behind", async () => {
  await using twin = await twinModel("tiny-mistral");
  const { device, engine: { config: { layers, kvHeads, headDim } } } = twin.there;
  const ids = promptOf(twin, 7);
  const usage: (readonly [number, number])[] = [];
  {
    await using session = twin.session({ policy: snapKv({ window: 4, kernel: 3 }), budget: 10 });
    for (let round = 0; round < 10; round++) {
      const generation = session.generate({ ids }, { maxTokens: 3 });
      for await (const _ of generation);
      const { bytes } = session.stats();
      assertEquals(bytes.after, layers * kvHeads * 10 * (2 * headDim * 4 + 4));
      assert(bytes.before > bytes.after);
      usage.push([device.usage.tensors, device.usage.bytes]);
    }
  }
  assertEquals(new Set(usage.map(String)).size, 1, String(usage));
  const [[held = 0] = []] = usage;
  assertEquals(held - device.usage.tensors, 2 * layers);
});

Deno.test("invariant 8 on a device: the attention that the kernel observes equals the plain reference", async () => {
  await using twin = await twinModel("tiny-qwen2");
  const { engine } = twin.there;
  const ids = promptOf(twin, 8);
  const sequence = newSequence(engine);
  using _ = sequence.cache;
  const { attentionSums } = await engine.advance(sequence, { ids, observe: true });
  const { layers } = twin.host.reference.run(ids);
  assertEquals(attentionSums.length, layers.length);
  for (const [layer, rows] of attentionSums.entries()) {
    using held = rows;
    const sums = await held.floats();
    const attention = layers[layer]?.attention ?? new Float32Array(0);
    const expected = Float32Array.from({ length: sums.length }, (_, index) => {
      const [head, token] = [Math.floor(index / ids.length), index % ids.length];
      let sum = 0;
      for (let row = 0; row < ids.length; row++) {
        sum += attention[(head * ids.length + row) * ids.length + token] ?? NaN;
      }
      return sum;
    });
    assertClose(sums, expected, { absolute: 1e-4 }, `layer ${layer}`);
  }
});
