import { assert, assertEquals, assertRejects } from "@std/assert";
import { adaKv } from "../../../policies/ada_kv.ts";
import { compose } from "../../../policies/compose.ts";
import { full } from "../../../policies/full.ts";
import { h2o } from "../../../policies/h2o.ts";
import { knorm } from "../../../policies/knorm.ts";
import type { Policy } from "../../../policies/policy.ts";
import { pyramid } from "../../../policies/pyramid.ts";
import { rerotate } from "../../../policies/rerotate.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { streamingLlm } from "../../../policies/streaming_llm.ts";
import { whileDecoding } from "../../../policies/while_decoding.ts";
import { createHostCache } from "../../../runtime/cache/host_cache.ts";
import { globalLayers } from "../../../runtime/checkpoint/layer_kinds.ts";
import { PromptError } from "../../../runtime/errors.ts";
import { createSession } from "../../../runtime/session/open.ts";
import type { SessionOptions } from "../../../runtime/session/session.ts";
import { assertClose } from "../../_close.ts";
import { testFolder } from "../../commands/_run_cli.ts";
import { writeFolder } from "../../_random_checkpoint.ts";
import { randomIds, type TestModel, testModel } from "../../_test_model.ts";
import { openWindowSession, WINDOW_MODELS, windowModel } from "../../_window_models.ts";
import { chatTokenizer, TEMPLATES, whole } from "./_chat.ts";

const CONTEXT = 128;
const BUDGET = 48;
const words = (seed: number, count = 20) => randomIds(count, 320, seed).join(" ");

const POLICIES: readonly Policy[] = [
  streamingLlm(),
  snapKv({ window: 8 }),
  h2o(),
  knorm(),
  rerotate({ inner: snapKv({ window: 8 }) }),
  whileDecoding({ inner: h2o(), every: 8 }),
  compose({ inner: streamingLlm(), second: snapKv({ window: 8 }), factor: 1.5 }),
  pyramid({ inner: snapKv({ window: 8 }) }),
  adaKv({ inner: snapKv({ window: 8 }) }),
];

for (const name of WINDOW_MODELS) {
  Deno.test(`${name}: a conversation of 20 turns goes far beyond the context, with marks and saved caches`, async () => {
    await using test = await windowModel(name);
    const { layerKinds } = test.model.config;
    using folder = testFolder();
    const path = `${folder.path}/talk.cache`;
    for (const policy of POLICIES) {
      const options = { policy, budget: BUDGET, context: CONTEXT };
      await using session = openWindowSession(test.model, options);
      for (let turn = 0; turn < 20; turn++) {
        await session.append({ messages: [{ role: "user", content: words(turn + 10) }] });
        const { held } = session.stats();
        for (const [layer, { window }] of layerKinds.entries()) {
          if (window !== undefined) assert((held[layer] ?? 0) <= window - 1, held.join());
        }
        using mark = await session.mark();
        const answer = await whole(session.generate({ maxTokens: 12 }));
        assertEquals([answer.ids.length, answer.finishReason], [12, "length"]);
        if (turn % 7 !== 5) continue;
        await session.rollback(mark);
        assertEquals((await whole(session.generate({ maxTokens: 12 }))).ids, answer.ids);
        await session.save(path);
        await using loaded = openWindowSession(test.model, options);
        await loaded.load(path);
        const more = { ids: randomIds(5, 320, turn) };
        const [one, two] = [await (await session.fork()).append(more), await loaded.append(more)];
        assertClose(two.logits, one.logits, { absolute: 1e-3 }, `${policy.name}, turn ${turn}`);
      }
      assertEquals(session.ids.length, 20 * 32);
      if (!policy.positions) assert(session.stats().rerotations >= 2, policy.name);
    }
  });
}

Deno.test("a model whose layers all slide goes on past its context as if it had a longer one", async () => {
  await using test = await windowModel("tiny-mistral-window");
  for (const policy of [full(), knorm()]) {
    await using short = openWindowSession(test.model, { policy, context: CONTEXT });
    await using long = openWindowSession(test.model, { policy, context: 5000 });
    for (let turn = 0; turn < 12; turn++) {
      const ids = randomIds(40 + turn, 320, turn);
      const [one, two] = [await short.append({ ids }), await long.append({ ids })];
      assertClose(one.logits, two.logits, { absolute: 3e-3 }, `turn ${turn}`);
      const answers = [short, long].map(async (each) =>
        (await whole(each.generate({ maxTokens: 30 }))).ids
      );
      const [first, second] = await Promise.all(answers);
      assertEquals(first, second);
    }
    assert(short.stats().rerotations > 4);
    assertEquals(long.stats().rerotations, 0);
  }
});

Deno.test("where all layers slide, whatever fits beside the windows is answered, and no more", async () => {
  await using test = await windowModel("tiny-mistral-window");
  const [context, window] = [180, 32];
  for (const policy of [full(), knorm()]) {
    await using short = openWindowSession(test.model, { policy, context });
    await using long = openWindowSession(test.model, { policy, context: 5000 });
    const most = context - 1 - (window - 1);
    for (const session of [short, long]) await session.read({ ids: randomIds(90, 320) });
    for (const count of [60, 112, most]) {
      const question = words(count, count);
      const [first, second] = [
        await whole(short.ask(question, { maxTokens: 9 })),
        await whole(long.ask(question, { maxTokens: 9 })),
      ];
      assertEquals(first.ids, second.ids, `${count} tokens`);
    }
    await assertRejects(
      () => whole(short.ask(words(1, most + 1), { maxTokens: 9 })),
      PromptError,
      "its windows hold 31 tokens; give less at once",
    );
    const [first, second] = [
      await whole(short.generate({ maxTokens: 9 })),
      await whole(long.generate({ maxTokens: 9 })),
    ];
    assertEquals(first.ids, second.ids);
  }
});

Deno.test("what is longer than the context is read in pieces with windows", async () => {
  for (const name of WINDOW_MODELS) {
    await using test = await windowModel(name);
    const ids = Array.from({ length: 700 }, (_, index) => 2 + index * 7 % 300);
    const options = { policy: snapKv({ window: 8 }), budget: 32, context: CONTEXT };
    await using session = openWindowSession(test.model, options);
    await assertRejects(() => session.read({ ids }), PromptError, "'inPieces'");
    const reading = await session.read({ ids }, { inPieces: true });
    assertEquals([reading.tokens, session.ids.length], [700, 700]);
    const held = test.model.config.layerKinds.map(({ window }) =>
      window === undefined ? 32 : window - 1
    );
    assertEquals(session.stats().held, held);
    assertEquals((await whole(session.generate({ maxTokens: 300 }))).ids.length, 300);
  }
});

const TURNS = {
  trimming: TEMPLATES.trimming,
  /** Earlier answers lose nearly all, as thoughts do in Qwen3's. */
  shortening: TEMPLATES.plain.replace(
    "{{ m.content }}",
    "{% if m.role == 'assistant' %}{{ m.content[:12] }}{% else %}{{ m.content }}{% endif %}",
  ),
};

/** A random model with windows in some layers or all, which reads and writes text. */
async function talker(family: "gemma3" | "mistral"): Promise<TestModel> {
  const home = await Deno.makeTempDir();
  const path = `${home}/model`;
  await Deno.mkdir(path);
  const shape = family === "gemma3" ? { layers: 4, globalEvery: 2 } : {};
  await writeFolder(path, {
    ...{ family, vocabulary: 520, context: 4096, eosIds: [], window: 40 },
    ...shape,
  });
  return await testModel(path, { home });
}

for (const family of ["gemma3", "mistral"] as const) {
  for (const [template, written] of Object.entries(TURNS)) {
    Deno.test(`a chat with ${family}'s windows is what it would be if they forgot nothing: ${template}`, async () => {
      await using test = await talker(family);
      const tokenizer = await chatTokenizer(written);
      const { engine, facts } = test.model;
      assertEquals(globalLayers(engine.config).length, family === "gemma3" ? 2 : 0);
      for (const [policy, budget] of [[full(), 4096], [snapKv({ window: 8 }), 64]] as const) {
        const open = (slack: number | undefined) => {
          const options: SessionOptions = { policy, budget };
          const { layers, kvHeads, headDim, layerKinds } = engine.config;
          const windows = layerKinds.map(({ window }) => window);
          const shape = { layers, kvHeads, headDim, windows };
          return createSession({
            engine: {
              ...engine,
              newCache: () => createHostCache(slack === undefined ? shape : { ...shape, slack }),
            },
            tokenizer,
            facts,
            now: () => 0,
          }, options);
        };
        await using usual = open(undefined);
        await using endless = open(100_000);
        for (let turn = 0; turn < 5; turn++) {
          const content = `Turn ${turn}: ${"and then some more words. ".repeat(3)}`;
          const readings = [];
          for (const session of [usual, endless]) {
            readings.push(await session.append({ messages: [{ role: "user", content }] }));
          }
          assertEquals(usual.ids, endless.ids, `turn ${turn}`);
          assertClose(
            readings[0]?.logits ?? [],
            readings[1]?.logits ?? [],
            { absolute: 2e-3 },
            `turn ${turn}`,
          );
          for (const session of [usual, endless]) {
            await whole(session.generate({ maxTokens: 190 }));
          }
          assertEquals(usual.ids, endless.ids, `answer ${turn}`);
        }
        const said = usual.stats().notes.filter((note) => note.includes("otherwise"));
        assertEquals(said, []);
        // What was dropped from afar was read again, and no more than that.
        const [read = 0, least = 0] = [usual, endless].map((each) => each.stats().prefilled);
        assert(read >= least && read <= least + 4 * (190 + 64), `${read} of ${least}`);
      }
    });
  }
}

Deno.test("where all layers slide, a chat whose template rewrites answers goes on past its context", async () => {
  await using test = await talker("mistral");
  const { engine, facts } = test.model;
  const tokenizer = await chatTokenizer(TURNS.shortening);
  const open = (context: number) =>
    createSession(
      {
        engine: { ...engine, config: { ...engine.config, context } },
        tokenizer,
        facts,
        now: () => 0,
      },
      { policy: full() },
    );
  let rewritten = 0;
  for (const context of [120, 150, 165]) {
    await using short = open(context);
    await using long = open(4096);
    for (let turn = 0; turn < 6; turn++) {
      const content = `T${turn}: ${"and more words. ".repeat(1 + (turn * 5) % 4)}`;
      const maxTokens = [20, 60, 90, 7, 33][turn % 5] ?? 20;
      for (const session of [short, long]) {
        await session.append({ messages: [{ role: "user", content }] });
        await whole(session.generate({ maxTokens }));
        await whole(session.ask("why? ".repeat(1 + turn % 5), { maxTokens: 9 }));
      }
      // What cannot be taken back so far stays as it was read, and the notes say so.
      const stayed = short.stats().notes.some((note) =>
        note.includes("otherwise than it was read")
      );
      if (stayed) break;
      assertEquals(short.ids, long.ids, `context ${context}, turn ${turn}`);
      if (turn === 5) rewritten++;
    }
    assert(short.stats().rerotations > 0);
  }
  assert(rewritten > 0);
});
