import { assert, assertEquals } from "@std/assert";
import { full } from "../../../policies/full.ts";
import { h2o } from "../../../policies/h2o.ts";
import { knorm } from "../../../policies/knorm.ts";
import type { Policy } from "../../../policies/policy.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { globalLayers } from "../../../runtime/checkpoint/layer_kinds.ts";
import type { HostEngine } from "../../../runtime/engine/host/host_engine.ts";
import { prefill } from "../../../runtime/engine/prefill.ts";
import { emptySequence } from "../../../runtime/engine/sequence.ts";
import type { KeptTokens } from "../../../runtime/evict/choose.ts";
import type { Session } from "../../../runtime/session/session.ts";
import { assertClose } from "../../_close.ts";
import { testFolder } from "../../commands/_run_cli.ts";
import { randomIds } from "../../_test_model.ts";
import { openWindowSession, WINDOW_MODELS, windowModel } from "../../_window_models.ts";
import { whole } from "./_chat.ts";

const IDS = randomIds(300, 320);
const MORE = randomIds(50, 320, 5);

const answer = async (session: Session, maxTokens: number) =>
  (await whole(session.generate({ maxTokens }))).ids;

/** Logits behind a text that was evicted once, computed without a session. */
async function replayed(
  engine: HostEngine,
  prompt: readonly number[],
  kept: KeptTokens | undefined,
  more: readonly number[],
  last: { readonly ids: readonly number[]; readonly chunk: number },
): Promise<Float32Array> {
  const sequence = emptySequence(engine.newCache());
  using cache = sequence.cache;
  await prefill(engine, sequence, prompt, { chunk: 64, observe: "none" });
  for (const layer of kept ? globalLayers(engine.config) : []) {
    await cache.compact(layer, kept?.[layer] ?? []);
  }
  await prefill(engine, sequence, more, { chunk: 64, observe: "none" });
  return (await prefill(engine, sequence, last.ids, { chunk: last.chunk, observe: "none" })).logits;
}

const near = (actual: Float32Array, expected: Float32Array, what: string) =>
  assertClose(actual, expected, { absolute: 2e-3 }, what);

const POLICIES: readonly (readonly [string, () => Policy])[] = [
  ["full", full],
  ["knorm", knorm],
  ["snapkv", () => snapKv({ window: 8 })],
  ["h2o", h2o],
];

for (const name of WINDOW_MODELS) {
  Deno.test(`${name}: what is kept is of the global layers, and a session holds it with its windows`, async () => {
    await using test = await windowModel(name);
    const { model } = test;
    const { layerKinds, layers } = model.config;
    await using session = openWindowSession(model, { policy: snapKv({ window: 8 }), budget: 24 });
    const { kept, scores } = await session.read({ ids: IDS.slice(0, 96) }, { scores: true });
    const held = layerKinds.map(({ window }) => window === undefined ? 24 : window - 1);
    assertEquals(session.stats().held, held);
    assertEquals(kept.map((heads) => heads[0]?.length), held);
    assertEquals(
      scores.map(({ length }) => length),
      layerKinds.map(({ window }) => window === undefined ? 96 * model.config.kvHeads : 0),
    );
    const notes = session.stats().notes.join("\n");
    const nothing = globalLayers(model.config).length === 0;
    assertEquals(notes.includes("every layer of this model slides"), nothing, notes);
    assertEquals(session.stats().kept.length, layers);
  });

  for (const [policyName, policy] of POLICIES) {
    Deno.test(`${name}: an answer of 300 tokens behind an eviction with ${policyName}, and a turn behind it`, async () => {
      await using test = await windowModel(name);
      const { model } = test;
      const prompt = IDS.slice(0, 120);
      await using session = openWindowSession(model, {
        policy: policy(),
        budget: 0.1,
        context: 2000,
      });
      const { kept } = await session.read({ ids: prompt });
      const answered = await answer(session, 300);
      session.configure({ policy: full() });
      const { logits } = await session.append({ ids: MORE });
      for (const chunk of [1, 7, 49, 50, 64]) {
        const turn = { ids: MORE, chunk };
        const expected = await replayed(model.engine, prompt, kept, answered, turn);
        near(logits, expected, `logits behind the turn, read ${chunk} at a time`);
      }
    });
  }

  Deno.test(`${name}: a mark holds far beyond its windows, with an eviction behind it or without`, async () => {
    await using test = await windowModel(name);
    for (const budget of [1000, 30]) {
      const options = { policy: snapKv({ window: 8 }), budget, context: 2000 };
      await using session = openWindowSession(test.model, options);
      await session.read({ ids: IDS.slice(0, 100) });
      using mark = await session.mark();
      const first = await answer(session, 260);
      using later = await session.mark();
      await session.append({ ids: IDS.slice(100, 300) });
      await answer(session, 40);
      await session.rollback(later);
      assertEquals(session.ids.length, 360);
      await session.rollback(mark);
      assertEquals(await answer(session, 260), first);
      await session.rollback(mark);
      const { logits } = await session.append({ ids: MORE });
      await using alone = openWindowSession(test.model, options);
      await alone.read({ ids: IDS.slice(0, 100) });
      assertEquals((await alone.append({ ids: MORE })).logits, logits);
    }
  });

  Deno.test(`${name}: a second question finds what the first one found`, async () => {
    await using test = await windowModel(name);
    const options = { policy: knorm(), budget: 40, context: 2000 };
    await using session = openWindowSession(test.model, options);
    await session.read({ document: IDS.slice(0, 110).join(" ") });
    const ask = async (asked: Session, seed: number, maxTokens: number) =>
      (await whole(asked.ask(randomIds(12, 320, seed).join(" "), { maxTokens }))).ids;
    const first = await ask(session, 1, 200);
    await ask(session, 2, 250);
    assertEquals(await ask(session, 1, 200), first);
    await using alone = openWindowSession(test.model, options);
    await alone.read({ document: IDS.slice(0, 110).join(" ") });
    assertEquals(await ask(alone, 1, 200), first);
  });

  Deno.test(`${name}: forks go their own ways, and their points live on without each other`, async () => {
    await using test = await windowModel(name);
    const options = { policy: h2o(), budget: 30, context: 2000 };
    await using session = openWindowSession(test.model, options);
    await session.read({ ids: IDS.slice(0, 100) });
    const begun = await answer(session, 150);
    const left = await session.fork();
    const right = await session.fork();
    await left.append({ ids: IDS.slice(100, 200) });
    await left[Symbol.asyncDispose]();
    const { logits } = await right.append({ ids: MORE });
    await using alone = openWindowSession(test.model, options);
    await alone.read({ ids: IDS.slice(0, 100) });
    assertEquals(await answer(alone, 150), begun);
    near((await alone.append({ ids: MORE })).logits, logits, "logits of the fork");
    assertEquals(alone.stats().kept, right.stats().kept);
    await right[Symbol.asyncDispose]();
  });

  Deno.test(`${name}: a saved cache goes on like one never saved, and saves the same again`, async () => {
    using folder = testFolder();
    const path = `${folder.path}/a.cache`;
    await using test = await windowModel(name);
    for (const [policy, budget] of [[full(), 1000], [snapKv({ window: 8 }), 20]] as const) {
      const options = { policy, budget, context: 2000 };
      await using session = openWindowSession(test.model, options);
      await session.read({ ids: IDS.slice(0, 90) });
      for (const begun of [0, 7, 200]) {
        if (begun > 0) await answer(session, begun);
        const saved = await session.save(path);
        assertEquals(saved.kept.map(([first = 0]) => first), session.stats().held);
        await using loaded = openWindowSession(test.model, options);
        assertEquals(await loaded.load(path), saved);
        assertEquals(loaded.stats().held, session.stats().held);
        await using aside = await loaded.fork();
        assertEquals(await answer(aside, 60), await answer(await session.fork(), 60));
        const [one, two] = [
          await session.append({ ids: MORE }),
          await loaded.append({ ids: MORE }),
        ];
        assertEquals(two.logits, one.logits);
        assertEquals(loaded.stats().kept, session.stats().kept);
        assertEquals(await answer(loaded, 50), await answer(session, 50));
        await loaded.save(`${path}2`);
        await session.save(path);
        assertEquals(Deno.readFileSync(`${path}2`), Deno.readFileSync(path));
      }
    }
  });

  Deno.test(`${name}: what is read and fails changes nothing, however long it was`, async () => {
    await using test = await windowModel(name);
    const options = { policy: knorm(), budget: 500, context: 2000, chunk: 16 };
    await using session = openWindowSession(test.model, options);
    await using alone = openWindowSession(test.model, options);
    for (const each of [session, alone]) await each.read({ ids: IDS.slice(0, 100) });
    const abort = new AbortController();
    let failed = false;
    try {
      await session.append({ ids: IDS }, {
        signal: abort.signal,
        onProgress: (done) => done > 250 && abort.abort(),
      });
    } catch {
      failed = true;
    }
    assert(failed, "nothing failed");
    assertEquals(session.ids.length, 100);
    const [one, two] = [await session.append({ ids: MORE }), await alone.append({ ids: MORE })];
    assertEquals(one.logits, two.logits);
  });
}

Deno.test("what windows put aside while more was read is free once that is evicted", async () => {
  await using test = await windowModel("tiny-gemma3");
  const options = { policy: knorm(), budget: 30, context: 2000 };
  await using session = openWindowSession(test.model, options);
  await session.read({ ids: IDS });
  const { after } = session.stats().bytes;
  for (let turn = 0; turn < 4; turn++) {
    await session.append({ ids: IDS });
    assertEquals([session.stats().bytes.after, session.stats().bytes.now], [after, after]);
  }
});
