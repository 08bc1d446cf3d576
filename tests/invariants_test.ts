import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import {
  expectedAttention,
  full,
  h2o,
  judgeQ,
  knorm,
  kvZip,
  kvZipPlus,
  lookaheadQCache,
  oracle,
  type Policy,
  snapKv,
} from "../policies/mod.ts";
import { gatherEvidence } from "../runtime/evidence/gather.ts";
import { slidingBytes } from "../runtime/cache/bytes_per_token.ts";
import { cacheShapeOf, type Gathered } from "../runtime/engine/engine.ts";
import { observationFor } from "../runtime/evidence/observe.ts";
import { prefill } from "../runtime/engine/prefill.ts";
import { assertClose } from "./_close.ts";
import { globalLayers } from "../runtime/checkpoint/layer_kinds.ts";
import { newSequence, randomIds, TINY, tinyModel, WINDOWED } from "./_test_model.ts";

const SEED = { seed: 20260123, numRuns: 6 };

/** One policy for each kind of evidence, protecting little so that small budgets can be met. */
const POLICIES: readonly (() => Policy)[] = [
  knorm,
  h2o,
  () => snapKv({ window: 4, kernel: 5 }),
  () => judgeQ({ window: 4 }),
  () => oracle({ tokens: 4 }),
  () => expectedAttention({ sinks: 2 }),
  () => lookaheadQCache({ steps: 3, window: 4 }),
  () => kvZipPlus({ chunk: 16 }),
];

const prompts = fc.record({
  length: fc.integer({ min: 9, max: 60 }),
  seed: fc.integer({ min: 1, max: 1e6 }),
});

for (const name of ["tiny-llama", ...WINDOWED]) {
  Deno.test(`invariant 1: a budget that covers the prompt changes no token of ${name}`, async () => {
    await using tiny = await tinyModel(name);
    const answer = async (policy: Policy, budget: number, ids: readonly number[]) => {
      await using session = tiny.model.session({ policy, budget });
      const generation = session.generate({ ids }, { maxTokens: 12 });
      for await (const _ of generation);
      return [...generation.ids];
    };
    await fc.assert(
      fc.asyncProperty(prompts, async ({ length, seed }) => {
        const ids = randomIds(length, tiny.model.config.vocabulary, seed);
        const expected = await answer(full(), 1, ids);
        for (const policy of POLICIES) {
          assertEquals(await answer(policy(), length, ids), expected);
          assertEquals(await answer(policy(), length + 7, ids), expected);
        }
      }),
      SEED,
    );
  });
}

for (const name of ["tiny-qwen3", ...WINDOWED]) {
  Deno.test(`invariant 2 (pitfall 13, chunked prefill): the chunk size changes neither the logits nor what is kept of ${name}`, async () => {
    await using tiny = await tinyModel(name);
    await fc.assert(
      fc.asyncProperty(
        prompts,
        fc.integer({ min: 1, max: 70 }),
        async ({ length, seed }, chunk) => {
          const ids = randomIds(length, tiny.model.config.vocabulary, seed);
          for (const policy of POLICIES) {
            await using whole = tiny.model.session({ policy: policy(), budget: 8, chunk: 512 });
            await using parts = tiny.model.session({ policy: policy(), budget: 8, chunk });
            const [expected, actual] = [await whole.read({ ids }), await parts.read({ ids })];
            assertClose(actual.logits, expected.logits, { absolute: 1e-4 }, "logits");
            assertEquals(actual.kept, expected.kept);
          }
        },
      ),
      SEED,
    );
  });
}

for (const name of ["tiny-llama31", ...WINDOWED]) {
  Deno.test(`invariant 3: exactly the budget of ${name} is kept, ascending, the protected tokens among it`, async () => {
    await using tiny = await tinyModel(name);
    await fc.assert(
      fc.asyncProperty(
        prompts,
        fc.integer({ min: 5, max: 40 }),
        async ({ length, seed }, budget) => {
          const ids = randomIds(length, tiny.model.config.vocabulary, seed);
          await using session = tiny.model.session({
            policy: snapKv({ window: 4, kernel: 3 }),
            budget,
          });
          const { kept } = await session.read({ ids });
          for (
            const indices of globalLayers(tiny.model.config).flatMap((layer) => kept[layer] ?? [])
          ) {
            assertEquals(indices.length, Math.min(budget, length));
            assertEquals([...new Set(indices)].sort((a, b) => a - b), [...indices]);
            assertEquals([...indices.slice(-4)], [length - 4, length - 3, length - 2, length - 1]);
          }
        },
      ),
      SEED,
    );
  });
}

for (const name of [...TINY, ...WINDOWED]) {
  Deno.test(`invariant 4 (pitfall 4, whether the mechanics are to blame): decoding on the compacted cache of ${name} equals hiding what was evicted`, async () => {
    await using tiny = await tinyModel(name);
    const { model, reference } = tiny;
    const ids = randomIds(40, model.config.vocabulary, 3);
    const next = 7;
    await using session = model.session({ policy: snapKv({ window: 4, kernel: 3 }), budget: 12 });
    const { kept } = await session.read({ ids });
    const visible = kept.map((heads) => heads.map((indices) => new Set(indices)));
    const globals = globalLayers(model.config);
    const prompt = reference.run(ids);
    const masked = reference.run([next], {
      cache: prompt.cache,
      visible: (layer, head, index) =>
        index >= ids.length || !globals.includes(layer) ||
        (visible[layer]?.[head]?.has(index) ?? false),
    });
    const sequence = newSequence(model.engine);
    await model.engine.advance(sequence, { ids });
    kept.forEach((heads, layer) => sequence.cache.compact(layer, heads));
    const { logits } = await model.engine.advance(sequence, { ids: [next] });
    assertClose(logits, masked.logits, { absolute: 1e-3, relative: 1e-4 }, "logits");
    sequence.cache[Symbol.dispose]();
  });
}

for (const name of ["tiny-qwen2", ...WINDOWED]) {
  Deno.test(`invariant 5: soft tokens and known answers leave no trace in the cache of ${name}`, async () => {
    await using tiny = await tinyModel(name);
    const { engine } = tiny.model;
    const ids = randomIds(60, engine.config.vocabulary, 5);
    const facts = await tiny.model.facts();
    const lookahead = lookaheadQCache({ window: 4, plus: true });
    for (
      const policy of [
        judgeQ({ window: 0 }),
        oracle({ tokens: 6 }),
        oracle({ ids: [4, 5] }),
        kvZip({ chunk: 13 }),
        kvZipPlus({ chunk: 50 }),
        lookahead,
      ]
    ) {
      const sequence = newSequence(engine);
      using scope = new DisposableStack();
      const prefilled = await prefill(engine, sequence, ids, {
        chunk: 16,
        observe: observationFor(policy.evidence),
      });
      const layers = Array.from({ length: engine.config.layers }, (_, layer) => layer);
      const snapshot = () =>
        layers.map((layer) => [
          [...sequence.cache.keys(layer)],
          [...sequence.cache.values(layer)],
          [...sequence.cache.positions(layer)],
        ]);
      const before = { cache: snapshot(), position: sequence.position };
      const gathered: Gathered = await gatherEvidence(policy.evidence, {
        engine,
        sequence,
        facts,
        prefilled,
        text: ids,
        keep: globalLayers(engine.config).map(() => 20),
        scope,
      });
      assertEquals(gathered.attention?.length, globalLayers(engine.config).length);
      assertEquals({ cache: snapshot(), position: sequence.position }, before);
      sequence.cache[Symbol.dispose]();
    }
  });
}

Deno.test("invariant 6: the same seed gives the same answer, and a policy cannot change the cache", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const ids = randomIds(30, tiny.model.config.vocabulary, 6);
  const vandal: Policy = {
    name: "vandal",
    evidence: { kind: "window", size: 4 },
    async score(layer) {
      for (const array of [await layer.keys(), await layer.values(), await layer.attention()]) {
        array.fill(9);
      }
      layer.positions.fill(9);
      return knorm().score({ ...layer });
    },
  };
  const tame: Policy = { ...vandal, name: "tame", score: (layer) => knorm().score(layer) };
  const answer = async (policy: Policy) => {
    await using session = tiny.model.session({ policy, budget: 10 });
    const generation = session.generate({ ids }, { maxTokens: 12, temperature: 1, seed: 4 });
    for await (const _ of generation);
    return [...generation.ids];
  };
  assertEquals(await answer(vandal), await answer(tame));
  assertEquals(await answer(tame), await answer(tame));
});

for (const name of ["tiny-mistral", "tiny-gemma3"]) {
  Deno.test(`invariant 7 (pitfall 9, simulated eviction): allocated bytes of ${name} are those of the kept entries, and 50 answers do not add up`, async () => {
    await using tiny = await tinyModel(name);
    const { kvHeads, headDim, vocabulary } = tiny.model.config;
    const shape = cacheShapeOf(tiny.model.engine);
    const ids = randomIds(100, vocabulary, 7);
    await using session = tiny.model.session({ policy: knorm(), budget: 10 });
    const sizes = new Set<number>();
    const resident: number[] = [];
    for (let round = 0; round < 50; round++) {
      const generation = session.generate({ ids }, { maxTokens: 5 });
      for await (const _ of generation);
      const { bytes } = session.stats();
      const evicted = shape.layers * kvHeads * 10 * (2 * headDim * 4 + 4);
      const windows = bytes.after - evicted;
      assert(windows >= 0 && windows <= slidingBytes(shape, 100), `${windows} bytes of windows`);
      assert(shape.sliding !== undefined || windows === 0);
      assert(bytes.before > bytes.after);
      sizes.add(bytes.now);
      resident.push(Deno.memoryUsage().rss);
    }
    assertEquals(sizes.size, 1);
    const [middle = 0, last = 0] = [resident[25], resident.at(-1)];
    console.log(`resident after 26 answers ${middle >> 20} MiB, after 50 ${last >> 20} MiB`);
  });
}

Deno.test("invariant 8 (pitfall 12, fast attention without scores): the attention that the kernel observes equals the plain reference", async () => {
  for (const name of [...TINY, ...WINDOWED]) {
    await using tiny = await tinyModel(name);
    const { engine } = tiny.model;
    const globals = globalLayers(engine.config);
    const ids = randomIds(24, engine.config.vocabulary, 8);
    const sequence = newSequence(engine);
    const { attentionSums } = await engine.advance(sequence, { ids, observe: true });
    assertEquals(attentionSums.length, globals.length);
    for (const [index, { data: sums }] of attentionSums.entries()) {
      const layer = globals[index] ?? -1;
      assertEquals(sums.length, engine.config.heads * ids.length);
      // Every query spends an attention of one.
      for (let head = 0; head < engine.config.heads; head++) {
        const spent = sums.subarray(head * ids.length, (head + 1) * ids.length);
        assertAlmostEquals(spent.reduce((sum, value) => sum + value, 0), ids.length, 1e-3);
      }
      assertClose(sums, sumsOfReference(tiny.reference.run(ids), layer, ids.length), {
        absolute: 1e-4,
      }, `${name}, layer ${layer}`);
    }
    sequence.cache[Symbol.dispose]();
  }
});

/** `[heads, tokens]`: attention received, from the reference's probabilities. */
function sumsOfReference(
  { layers }: ReturnType<Awaited<ReturnType<typeof tinyModel>>["reference"]["run"]>,
  layer: number,
  tokens: number,
): Float32Array {
  const attention = layers[layer]?.attention ?? new Float32Array(0);
  const heads = attention.length / tokens / tokens;
  const sums = new Float32Array(heads * tokens);
  attention.forEach((value, index) => {
    const head = Math.floor(index / tokens / tokens);
    const at = head * tokens + index % tokens;
    sums[at] = (sums[at] ?? 0) + value;
  });
  return sums;
}
