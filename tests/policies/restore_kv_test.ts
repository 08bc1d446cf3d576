import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { adaKv } from "../../policies/ada_kv.ts";
import { compose } from "../../policies/compose.ts";
import { h2o } from "../../policies/h2o.ts";
import { keyDiff } from "../../policies/keydiff.ts";
import { kvZip } from "../../policies/kvzip.ts";
import { OptionError, type ScorerPolicy, type SoftTokens } from "../../policies/policy.ts";
import { rerotate } from "../../policies/rerotate.ts";
import { restoreKv } from "../../policies/restore_kv.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { whileDecoding } from "../../policies/while_decoding.ts";
import { whileReading } from "../../policies/while_reading.ts";
import { BudgetError } from "../../runtime/errors.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { prefill } from "../../runtime/engine/prefill.ts";
import type { Session } from "../../runtime/session/session.ts";
import { assertClose, noise } from "../_close.ts";
import { randomAdapters } from "../_random_adapters.ts";
import { newSequence, randomIds, type TestModel, tinyModel } from "../_test_model.ts";

const COUNT = 5;
const BUDGET = 20;

function softTokens({ model: { config } }: TestModel, adapted = false): SoftTokens {
  const { hidden } = config;
  const embeddings = noise(COUNT * hidden, 3).map((value) => value * 0.3);
  const adapters = adapted ? { adapters: randomAdapters(config, { rank: 2 }) } : {};
  return { count: COUNT, hidden, embeddings, trained: true, ...adapters };
}

async function answered(session: Session, maxTokens = 8): Promise<readonly number[]> {
  const generation = session.generate({ maxTokens });
  for await (const _ of generation);
  return generation.ids;
}

for (
  const [name, inner, adapted] of [
    ["tiny-llama31", keyDiff(), false],
    ["tiny-qwen3", snapKv({ window: 4 }), true],
    ["tiny-gemma3", keyDiff(), true],
    ["tiny-qwen2", adaKv({ inner: snapKv({ window: 4 }) }), false],
  ] as const
) {
  Deno.test(`restore_kv keeps what the inner policy keeps, and soft tokens that saw all (${name}, ${inner.name})`, async () => {
    await using test = await tinyModel(name);
    const { engine, config } = test.model;
    const ids = randomIds(60, config.vocabulary, 4);
    const tokens = softTokens(test, adapted);
    const facts = await test.model.facts();
    const read = async (policy: ScorerPolicy, budget: number) => {
      const sequence = newSequence(engine);
      const request = { engine, sequence, ids, policy, budget, facts, chunk: 17, scores: false };
      return { sequence, ...await readPrompt({ ...request, now: () => 0 }) };
    };
    const found = await read(restoreKv({ inner, softTokens: tokens }), BUDGET);
    using cache = found.sequence.cache;
    const alone = await read(inner, BUDGET - COUNT);
    using _smaller = alone.sequence.cache;
    assertEquals(found.kept, alone.kept);
    assertEquals(found.logits, alone.logits);

    // What the soft tokens make of the whole cache, by hand.
    const whole = newSequence(engine);
    using full = whole.cache;
    await prefill(engine, whole, ids, { chunk: 17, observe: "none" });
    const { embeddings, adapters } = tokens;
    const probed = await engine.probe(whole, { embeddings, ...(adapters ? { adapters } : {}) });
    const step = await engine.advance(whole, { embeddings, ...(adapters ? { adapters } : {}) });
    assertClose(step.logits, probed.logits, { absolute: 1e-4 }, "logits of the soft tokens");
    assertEquals(found.sequence.position, ids.length + COUNT);
    for (let layer = 0; layer < config.layers; layer++) {
      if (cache.window(layer) !== undefined) {
        assertEquals(cache.lengths(layer), full.lengths(layer));
        continue;
      }
      const lengths = cache.lengths(layer);
      const total = lengths.reduce((sum, length) => sum + length, 0);
      assertEquals(total, BUDGET * config.kvHeads, "the budget is that of both");
      for (const [head, { keys, values, positions }] of cache.entries(layer).entries()) {
        const kept = found.kept[layer]?.[head] ?? [];
        const { headDim } = config;
        const expected = full.entries(layer)[head];
        const rows = [...kept, ...Array.from({ length: COUNT }, (_, at) => ids.length + at)];
        assertEquals([...positions], rows);
        for (const [entry, row] of rows.entries()) {
          const of = (all: Float32Array = new Float32Array(), at: number) =>
            all.subarray(at * headDim, (at + 1) * headDim);
          const close = { absolute: 1e-5 };
          assertClose(of(keys, entry), of(expected?.keys, row), close, `key ${layer} ${entry}`);
          assertClose(of(values, entry), of(expected?.values, row), close, `value ${layer}`);
        }
      }
    }
  });
}

type Wrap = (inner: ScorerPolicy) => ScorerPolicy;
const alone: Wrap = (inner) => inner;
const gapless: Wrap = (inner) => rerotate({ inner });
const writing: Wrap = (inner) => whileDecoding({ inner, every: 3, target: BUDGET });
const piecewise: Wrap = (inner) => whileReading({ inner, every: 25, keep: BUDGET + 4 });
const snap = snapKv({ window: 4 });

for (
  const [name, inner, wrap] of [
    ["tiny-llama31", snap, alone],
    ["tiny-llama31", kvZip(), gapless],
    ["tiny-llama31", h2o({ recent: 2 }), writing],
    ["tiny-llama31", adaKv({ inner: keyDiff() }), piecewise],
    ["tiny-gemma3", adaKv({ inner: snap }), alone],
    ["tiny-gemma3", keyDiff(), gapless],
    ["tiny-gemma3", snap, writing],
    ["tiny-gemma3", h2o({ recent: 2 }), piecewise],
  ] as const
) {
  Deno.test(`restore_kv(${inner.name}) goes on saved, forked and rolled back as it would have (${name}, ${wrap(inner).name})`, async () => {
    await using test = await tinyModel(name);
    const policy = wrap(restoreKv({ inner, softTokens: softTokens(test) }));
    const options = { policy, budget: BUDGET, chunk: 17 };
    const ids = randomIds(90, test.model.config.vocabulary, 7);
    await using session = test.model.session(options);
    await session.read({ ids: ids.slice(0, 60) }, { protect: [{ from: 2, to: 4 }] });
    await using fork = await session.fork();
    using mark = await session.mark();
    const path = `${test.home}/saved.safetensors`;
    await session.save(path);
    const goOn = async (one: Session) => {
      const first = await answered(one);
      await one.append({ ids: ids.slice(60) });
      return [...first, ...await answered(one)];
    };
    const expected = await goOn(session);
    await using loaded = test.model.session(options);
    await loaded.load(path);
    assertEquals(loaded.stats().kept, fork.stats().kept);
    assertEquals(await goOn(loaded), expected, "loaded");
    assertEquals(await goOn(fork), expected, "forked");
    await session.rollback(mark);
    assertEquals(await goOn(session), expected, "rolled back");
    // Saved behind all of it: its positions and tokens still fit together.
    await session.save(path);
    await using last = test.model.session(options);
    await last.load(path);
    assertEquals(await answered(last), await answered(session), "at the end");
  });
}

Deno.test("restore_kv reads nothing where nothing is dropped, and says what its tokens leave of a budget", async () => {
  await using test = await tinyModel("tiny-llama");
  const softTokens = { ...(await untrained(test)), count: COUNT };
  const policy = restoreKv({ inner: keyDiff(), softTokens });
  const ids = randomIds(40, test.model.config.vocabulary, 2);
  await using whole = test.model.session({ policy, budget: 40 });
  await whole.read({ ids });
  assertEquals(mostOf(whole), 40);
  await using full = test.model.session({ policy, budget: COUNT });
  await assertRejects(
    () => full.read({ ids }),
    BudgetError,
    "its 5 soft tokens stay and count towards the budget; give one of at least 6",
  );
  assertEquals(mostOf(full), 0);
  await using least = test.model.session({ policy, budget: COUNT + 1 });
  await least.read({ ids });
  assertEquals(mostOf(least), COUNT + 1);
  await answered(least);
  // A ratio does not mean the length that it meets.
  await using short = test.model.session({ policy, budget: 0.05 });
  await short.read({ ids });
  assert(mostOf(short) > COUNT);
});

function mostOf(session: Session): number {
  return Math.max(...session.stats().held);
}

async function untrained({ model }: TestModel): Promise<SoftTokens> {
  const { hidden, embeddingRms } = await model.facts();
  const embeddings = noise(COUNT * hidden, 9).map((value) => value * embeddingRms);
  return { count: COUNT, hidden, embeddings, trained: false };
}

Deno.test("restore_kv leaves no trace where reading fails", async () => {
  await using test = await tinyModel("tiny-llama");
  const ids = randomIds(60, test.model.config.vocabulary, 2);
  let failing = true;
  const inner: ScorerPolicy = {
    ...keyDiff(),
    score: (layer) => {
      if (failing && layer.layer === 1) throw new Error("not today");
      return keyDiff().score(layer);
    },
  };
  const policy = restoreKv({ inner, softTokens: softTokens(test) });
  await using session = test.model.session({ policy, budget: BUDGET });
  await assertRejects(() => session.read({ ids }), Error, "not today");
  failing = false;
  await session.read({ ids });
  await using fresh = test.model.session({ policy, budget: BUDGET });
  await fresh.read({ ids });
  assertEquals(await answered(session), await answered(fresh));
});

Deno.test("restore_kv refuses what it cannot do", async () => {
  const twice = () => restoreKv({ inner: restoreKv() });
  assertThrows(twice, OptionError, "its soft tokens stay already");
  const round = () => compose({ inner: restoreKv() });
  assertThrows(round, OptionError, "its soft tokens stay in the cache; wrap the whole");
  await using test = await tinyModel("tiny-llama");
  const other = { ...softTokens(test), fingerprint: "another model" };
  const policy = restoreKv({ inner: keyDiff(), softTokens: other });
  await using session = test.model.session({ policy, budget: BUDGET });
  const ids = randomIds(60, test.model.config.vocabulary, 2);
  await assertRejects(() => session.read({ ids }), Error, "trained for this model");
  // Untrained ones run, and the notes say so.
  await using plain = test.model.session({
    policy: restoreKv({ inner: keyDiff() }),
    budget: BUDGET,
  });
  await plain.read({ ids });
  assert(plain.stats().notes.some((note) => note.includes("kvjudge train restore-kv")));
});
