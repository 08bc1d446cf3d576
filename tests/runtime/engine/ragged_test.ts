import { assert, assertEquals, assertRejects } from "@std/assert";
import { adaKv } from "../../../policies/ada_kv.ts";
import { createPolicy } from "../../../policies/create.ts";
import type { ScorerPolicy } from "../../../policies/policy.ts";
import { registry } from "../../../policies/registry.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { whileDecoding } from "../../../policies/while_decoding.ts";
import { bytesPerToken } from "../../../runtime/cache/bytes_per_token.ts";
import { gatherEvidence } from "../../../runtime/evidence/gather.ts";
import { layerView } from "../../../runtime/engine/host/host_view.ts";
import { hostViews } from "../../../runtime/engine/host/host_view.ts";
import { prefill } from "../../../runtime/engine/prefill.ts";
import { gatherPromptStatistics } from "../../../runtime/evidence/statistics.ts";
import { PolicyError } from "../../../runtime/errors.ts";
import { assertClose } from "../../_close.ts";
import { newSequence, randomIds, TINY, tinyModel } from "../../_test_model.ts";

const IDS = randomIds(60, 250);
const MORE = randomIds(19, 250);
const EVERY = Int32Array.from(IDS.keys());
const STATISTICS = { kind: "statistics", skip: 2, future: 16 } as const;

/** Indices that each KV head keeps: fewer in each further head, others in each layer. */
function keptBy(kvHeads: number, layers: number): Int32Array[][] {
  return Array.from(
    { length: layers },
    (_, layer) =>
      Array.from(
        { length: kvHeads },
        (_, head) =>
          Int32Array.from({ length: 30 - 11 * head - layer }, (_, at) => at * 2 + (head % 2)),
      ),
  );
}

for (const name of TINY) {
  Deno.test(`ragged heads of ${name} equal hidden tokens: one token, many, observed`, async () => {
    await using test = await tinyModel(name);
    const { model: { engine, config }, reference } = test;
    const { layers, kvHeads, heads } = config;
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    await prefill(engine, sequence, IDS, { chunk: 64, observe: "none" });
    const kept = keptBy(kvHeads, layers);
    kept.forEach((ofLayer, layer) => cache.compact(layer, ofLayer));
    // One layer stays as it is: layouts of both kinds stand side by side.
    const shown = kept.map((ofLayer) => ofLayer.map((indices) => new Set(indices)));
    const visible = (layer: number, head: number, index: number) =>
      index >= IDS.length || (shown[layer]?.[head]?.has(index) ?? false);
    let past = reference.run(IDS).cache;
    let run = reference.run([7], { cache: past, visible });
    const one = await engine.advance(sequence, { ids: [7], queries: true });
    assertClose(one.logits, run.logits, { absolute: 1e-4 }, "one token");
    past = run.cache;
    run = reference.run(MORE, { cache: past, visible });
    const rows = MORE.map((_, index) => index);
    const many = await engine.advance(sequence, { ids: MORE, rows, observe: true });
    assertClose(many.logits, run.logits, { absolute: 2e-4 }, "many tokens");
    const group = heads / kvHeads;
    for (const [layer, { attention }] of run.layers.entries()) {
      const columns = IDS.length + 1 + MORE.length;
      const expected: number[] = [];
      for (let head = 0; head < heads; head++) {
        for (let index = 0; index < columns; index++) {
          if (!visible(layer, Math.floor(head / group), index)) continue;
          let sum = 0;
          for (let row = 0; row < MORE.length; row++) {
            sum += attention[(head * MORE.length + row) * columns + index] ?? NaN;
          }
          expected.push(sum);
        }
      }
      assertClose(
        many.attentionSums[layer]?.data ?? [],
        expected,
        { absolute: 1e-4 },
        `received ${layer}`,
      );
    }
  });
}

const ADA = adaKv({ inner: snapKv({ window: 4 }), alpha: 0.2 });

Deno.test("a session keeps other numbers per head, in memory and in its stats", async () => {
  await using test = await tinyModel("tiny-llama31");
  const { model } = test;
  const { layers, kvHeads } = model.config;
  await using session = model.session({ policy: ADA, budget: 16 });
  await session.read({ ids: IDS });
  const { kept, held, bytes } = session.stats();
  assert(kept.some(([first, second]) => first !== second));
  assertEquals(held, kept.map(() => 16));
  for (const heads of kept) assertEquals(heads.reduce((sum, one) => sum + one, 0), 16 * kvHeads);
  const entry = bytesPerToken({ ...model.config, layers: 1, kvHeads: 1 });
  const used = 16 * kvHeads * layers * entry;
  assert(bytes.after >= used && bytes.after < used + layers * kvHeads * entry, `${bytes.after}`);
});

Deno.test("a ragged session answers, saves, loads, forks and rolls back as if nothing had been", async () => {
  await using test = await tinyModel("tiny-qwen3");
  const { model } = test;
  await using session = model.session({ policy: ADA, budget: 16 });
  await session.read({ ids: IDS });
  const answer = async (from: typeof session) => {
    const generation = from.generate({ maxTokens: 24 });
    for await (const _ of generation);
    return generation.ids;
  };
  const mark = await session.mark();
  const path = `${test.home}/ragged.safetensors`;
  await session.save(path);
  await using copy = await session.fork();
  const expected = await answer(session);
  assertEquals(await answer(copy), expected);
  await session.rollback(mark);
  assertEquals(await answer(session), expected);
  await using loaded = model.session({ policy: ADA, budget: 16 });
  const { kept } = await loaded.load(path);
  assertEquals(kept, copy.stats().kept);
  assertEquals(await answer(loaded), expected);
});

/** Options that let a policy judge within the budget of these tests. */
const SMALL: Readonly<Record<string, unknown>> = { window: 4, lag: 4, draft: 4 };

for (const { name, options } of Object.values(registry)) {
  Deno.test(`${name} judges ragged heads again, alone and in ada_kv`, async () => {
    await using test = await tinyModel("tiny-llama");
    const { model } = test;
    const given = Object.fromEntries(
      options.filter((option) => option.name in SMALL).map((option) => [
        option.name,
        SMALL[option.name],
      ]),
    );
    const inner = snapKv({ window: 4 });
    const wraps = options.some((option) => option.name === "inner");
    const second = options.some((option) => option.name === "second");
    const settings = {
      ...given,
      ...(wraps ? { inner } : {}),
      ...(second ? { second: inner } : {}),
    };
    const policy = await createPolicy(name, settings) as ScorerPolicy;
    const policies = policy.evicts === false || policy.allocateHeads
      ? [policy]
      : [policy, adaKv({ inner: policy })];
    for (const one of policies) {
      await using session = model.session({ policy: ADA, budget: 16 });
      await session.read({ ids: IDS });
      session.configure({ policy: one });
      await session.append({ ids: MORE });
      const { kept } = session.stats();
      const sums = kept.map((heads) => heads.reduce((sum, count) => sum + count, 0));
      const total = sums.reduce((sum, count) => sum + count, 0);
      const most = kept.reduce((sum, heads) => sum + 16 * heads.length, 0);
      if (policy.evicts === false) assert(total > most);
      else if (one.allocateHeads) assertEquals(total, most);
      else assert(total <= most, `${total} of ${most}`);
    }
  });
}

Deno.test("similarities and expected logits of ragged heads are those of the whole layer", async () => {
  await using test = await tinyModel("tiny-llama31");
  const { engine, config } = test.model;
  const { layers, kvHeads, heads } = config;
  const sequence = newSequence(engine);
  using cache = sequence.cache;
  using scope = new DisposableStack();
  const statistics = gatherPromptStatistics([STATISTICS], engine);
  const options = { chunk: 64, observe: "none", ...statistics } as const;
  const prefilled = await prefill(engine, sequence, IDS, options);
  const facts = await test.model.facts();
  const request = { engine, sequence, facts, prefilled, text: IDS, statistics, keep: [], scope };
  const whole = await gatherEvidence(STATISTICS, request);
  const views = Array.from(
    { length: layers },
    (_, layer) => layerView(cache, engine, layer, whole),
  );
  const before = await Promise.all(views.map(async (view) => ({
    logits: await view.expectedLogits(),
    cosines: await Promise.all(
      Array.from({ length: kvHeads }, (_, head) => view.similarity(head, EVERY)),
    ),
  })));
  const kept = keptBy(kvHeads, layers);
  kept.forEach((ofLayer, layer) => cache.compact(layer, ofLayer));
  const ragged = await gatherEvidence(STATISTICS, request);
  const group = heads / kvHeads;
  for (const [layer, { logits, cosines }] of before.entries()) {
    for (const [head, view] of hostViews(cache, engine, layer, ragged).entries()) {
      assertEquals(view.firstHead, head);
      const indices = kept[layer]?.[head] ?? new Int32Array(0);
      const rowsOf = (all: Float32Array) =>
        Array.from({ length: group }, (_, row) => row + head * group)
          .flatMap((row) => Array.from(indices, (index) => all[row * IDS.length + index] ?? NaN));
      const { mean, variance } = await view.expectedLogits();
      assertClose(mean, rowsOf(logits.mean), { absolute: 1e-4 }, `mean ${layer}, ${head}`);
      assertClose(variance, rowsOf(logits.variance), { absolute: 1e-3 }, `variance ${layer}`);
      const all = cosines[head] ?? new Float32Array(0);
      const expected = [0, 3].flatMap((token) =>
        Array.from(indices, (index) => all[(indices[token] ?? NaN) * IDS.length + index] ?? NaN)
      );
      assertClose(await view.similarity(0, Int32Array.of(0, 3)), expected, { absolute: 1e-5 });
      await assertRejects(() => view.similarity(1, Int32Array.of(0)), PolicyError, "no KV head 1");
      const beyond = Int32Array.of(indices.length);
      await assertRejects(() => view.similarity(0, beyond), PolicyError, "there is no token");
    }
  }
});

Deno.test("while_decoding(ada_kv) holds its target and interval, and memory stays flat", async () => {
  await using test = await tinyModel("tiny-llama31");
  const { model } = test;
  const { layers, kvHeads } = model.config;
  const policy = whileDecoding({ inner: ADA, every: 8, target: 16 });
  await using session = model.session({ policy, budget: 16 });
  await session.read({ ids: IDS });
  const entry = bytesPerToken({ ...model.config, layers: 1, kvHeads: 1 });
  const answer = session.generate({ maxTokens: 60 });
  for await (const _ of answer) {
    const held = session.stats().bytes.now / entry / layers / kvHeads;
    assert(held <= 16 + 8 + 18, `${held} entries per head`);
  }
});
