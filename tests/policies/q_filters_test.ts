import { assert, assertEquals, assertRejects } from "@std/assert";
import { adaKv } from "../../policies/ada_kv.ts";
import { snapKv } from "../../policies/snapkv.ts";
import type { ModelFile, Policy } from "../../policies/policy.ts";
import { OptionError } from "../../policies/policy.ts";
import { qFilters } from "../../policies/q_filters.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { readFloats, readTensor } from "../../runtime/checkpoint/safetensors.ts";
import { fittedTo } from "../../runtime/evict/fitted.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { assertClose, noise } from "../_close.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { fixture, newSequence, randomIds, type TestModel, tinyModel } from "../_test_model.ts";
import { openGolden } from "../runtime/_golden_file.ts";

function fileOf(filters: ModelFile["tensors"][string], more: Partial<ModelFile> = {}): ModelFile {
  return { kind: "q_filters", tensors: { filters }, ...more };
}

for (const name of ["tiny-llama", "tiny-mistral", "tiny-qwen2", "tiny-qwen3", "tiny-gemma3"]) {
  Deno.test(`q_filters scores and keeps what the goldens do on ${name}`, async () => {
    await using test = await tinyModel(name);
    const { engine, config } = test.model;
    const path = fixture(`q_filters/${name}.safetensors`);
    const filters = fileOf(readFloats(path, "filters"));
    const ids = openGolden(name).integers("input_ids");
    const sequence = newSequence(engine);
    using _cache = sequence.cache;
    const { scores, kept } = await readPrompt({
      ...{ engine, sequence, ids, policy: qFilters({ filters }), chunk: 37, now: () => 0 },
      ...{ budget: ids.length / 4, facts: await test.model.facts(), scores: true },
    });
    for (const layer of globalLayers(config)) {
      const expected = readFloats(path, `scores.${layer}`).data;
      assertClose(scores[layer] ?? [], expected, { absolute: 1e-4 }, `scores of layer ${layer}`);
      const tokens = Array.from(readTensor(path, `kept.${layer}`).data, Number);
      assertEquals((kept[layer] ?? []).flatMap((indices) => [...indices]), tokens);
    }
  });
}

Deno.test("q_filters by hand: minus the product of key and filter, of the KV heads that are shown", async () => {
  const filters = fileOf({ shape: [2, 2, 2], data: Float32Array.of(9, 9, 9, 9, 1, 0, 0.5, -2) });
  const fitted = await fittedTo(qFilters({ filters }), await facts());
  assert("score" in fitted);
  const shape = { layer: 1, layers: 2, headDim: 2, length: 2 };
  const both = fakeLayer({
    ...{ ...shape, heads: 4, kvHeads: 2 },
    keys: Float32Array.of(1, 2, 3, 4, -5, 6, 7, 8),
  });
  assertEquals([...await fitted.score(both)], [-1, 5, 6.5, 12.5]);
  const second = fakeLayer({
    ...{ ...shape, heads: 2, kvHeads: 1, firstHead: 1 },
    keys: Float32Array.of(3, 4, 7, 8),
  });
  assertEquals([...await fitted.score(second)], [6.5, 12.5]);
});

async function facts() {
  await using test = await tinyModel("tiny-llama");
  return await test.model.facts();
}

Deno.test("q_filters scores ragged heads by their own filters", async () => {
  await using test = await tinyModel("tiny-qwen2");
  const filters = randomFilters(test);
  const { engine, config: { kvHeads, layers } } = test.model;
  const given = await test.model.facts();
  const policy = qFilters({ filters });
  const sequence = newSequence(engine);
  using cache = sequence.cache;
  const ids = randomIds(60, test.model.config.vocabulary, 3);
  const request = { engine, sequence, facts: given, chunk: 64, scores: true, now: () => 0 };
  const whole = await readPrompt({ ...request, ids, policy, budget: 60 });
  // The heads keep different numbers of tokens, and are shown one by one from then on.
  const inner = snapKv({ window: 4 });
  const { kept } = await readPrompt({
    ...request,
    ...{ ids: [5], policy: adaKv({ inner }), budget: 20, scores: false },
  });
  assert(kept.some((heads) => new Set(heads.map(({ length }) => length)).size > 1));
  const again = await readPrompt({ ...request, ids: [6], before: ids, policy, budget: 60 });
  for (let layer = 0; layer < layers; layer++) {
    let from = 0;
    for (let head = 0; head < kvHeads; head++) {
      const found = again.scores[layer]?.subarray(from, from += cache.lengths(layer)[head] ?? 0);
      for (const [at, index] of (kept[layer]?.[head] ?? []).entries()) {
        if (index >= 60) continue;
        assertClose([found?.[at] ?? NaN], [whole.scores[layer]?.[head * 60 + index] ?? NaN], {
          absolute: 1e-5,
        });
      }
    }
  }
});

function randomFilters({ model: { config } }: TestModel): ModelFile {
  const shape = [globalLayers(config).length, config.kvHeads, config.headDim];
  return fileOf({ shape, data: noise(shape.reduce((a, b) => a * b), 5) });
}

Deno.test("q_filters refuses files of other models and policies, and says where there is none", async () => {
  await using test = await tinyModel("tiny-llama");
  const right = randomFilters(test);
  const ids = randomIds(30, test.model.config.vocabulary, 3);
  const read = async (policy: Policy) => {
    await using session = test.model.session({ policy, budget: 10 });
    await session.read({ ids });
    return session.stats().notes;
  };
  const refused = (filters: ModelFile, words: string) =>
    assertRejects(() => read(qFilters({ filters })), OptionError, words);
  await refused({ ...right, fingerprint: "other" }, "made for a model with fingerprint other");
  await refused({ ...right, kind: "tri_attention" }, "it was made for policy 'tri_attention'");
  await refused({ ...right, tensors: {} }, 'its tensor "filters" is missing');
  const { filters = { shape: [], data: new Float32Array() } } = right.tensors;
  await refused(fileOf({ ...filters, shape: [filters.data.length] }), "must be [layers, heads, ");
  const [layers = 0, heads = 0, size = 0] = filters.shape;
  await refused(fileOf({ ...filters, shape: [layers, heads * 2, size / 2] }), "of heads of size");
  const { fingerprint } = await test.model.facts();
  assertEquals(await read(qFilters({ filters: { ...right, fingerprint } })), []);
  const notes = await read(qFilters());
  assert(notes.some((note) => note.includes("judged by their norms; make one with")), `${notes}`);
});
