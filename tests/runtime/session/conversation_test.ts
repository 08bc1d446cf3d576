import { assert, assertEquals, assertRejects } from "@std/assert";
import { adaKv } from "../../../policies/ada_kv.ts";
import { compose } from "../../../policies/compose.ts";
import { criticalKv } from "../../../policies/critical_kv.ts";
import { full } from "../../../policies/full.ts";
import { h2o } from "../../../policies/h2o.ts";
import { knorm } from "../../../policies/knorm.ts";
import type { EvictionPolicy, Policy } from "../../../policies/policy.ts";
import { pyramid } from "../../../policies/pyramid.ts";
import { rerotate } from "../../../policies/rerotate.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { streamingLlm } from "../../../policies/streaming_llm.ts";
import { whileDecoding } from "../../../policies/while_decoding.ts";
import { pinnedEntries } from "../../../runtime/evict/pinned.ts";
import { BudgetError, PromptError } from "../../../runtime/errors.ts";
import type { Model } from "../../../runtime/model.ts";
import type { SessionOptions } from "../../../runtime/session/session.ts";
import { readSavedCache } from "../../../runtime/session/saved/file.ts";
import { createSession } from "../../../runtime/session/open.ts";
import { testFolder } from "../../commands/_run_cli.ts";
import { randomIds, tinyModel } from "../../_test_model.ts";
import { wordTokenizer } from "../../_word_tokenizer.ts";
import { whole } from "./_chat.ts";

const CONTEXT = 96;
const BUDGET = 48;
const SYSTEM = randomIds(12, 320, 7);

/** A session on a model whose context is small, without an end of answers. */
function small({ engine, tokenizer: _, ...model }: Model, options: SessionOptions) {
  const config = { ...engine.config, context: CONTEXT, eosIds: [] };
  return createSession(
    { ...model, engine: { ...engine, config }, tokenizer: wordTokenizer(320), now: () => 0 },
    { budget: BUDGET, ...options },
  );
}

const words = (seed: number, count = 20) => randomIds(count, 320, seed).join(" ");

/** Tokens of the text that every head of every layer holds still, as a saved cache tells them. */
async function heldByAll(session: ReturnType<typeof small>, { engine, facts }: Model) {
  using folder = testFolder();
  const path = `${folder.path}/talk.cache`;
  await session.save(path);
  const { fingerprint } = await facts();
  const { state } = readSavedCache(path, { config: engine.config, fingerprint });
  using cache = state.sequence.cache;
  const count = session.ids.length;
  const everywhere = new Set(Array.from({ length: count }, (_, token) => token));
  for (let layer = 0; layer < cache.layers; layer++) {
    for (let token = 0; token < count; token++) {
      const found = pinnedEntries(state.sequence, [{ from: token, to: token + 1 }], layer);
      if (found.some(({ length }) => length === 0)) everywhere.delete(token);
    }
  }
  return everywhere;
}

const last: EvictionPolicy = {
  name: "last",
  evidence: { kind: "none" },
  select: ({ kvHeads, length }, keep) =>
    Array.from(
      { length: kvHeads },
      () => Int32Array.from({ length: keep }, (_, index) => length - keep + index),
    ),
};

const POLICIES: readonly Policy[] = [
  streamingLlm(),
  snapKv({ window: 8 }),
  h2o(),
  knorm(),
  last,
  rerotate({ inner: snapKv({ window: 8 }) }),
  whileDecoding({ inner: snapKv({ window: 8 }), every: 8 }),
  compose({ inner: streamingLlm(), second: snapKv({ window: 8 }), factor: 1.5 }),
  pyramid({ inner: snapKv({ window: 8 }) }),
  adaKv({ inner: snapKv({ window: 8 }) }),
  criticalKv({ inner: snapKv({ window: 8 }) }),
];

for (const policy of POLICIES) {
  const written = [policy.name, policy.options?.inner].filter(Boolean).join("/");
  Deno.test(`a conversation of 20 turns with ${written} goes far beyond the context and keeps the system message`, async () => {
    await using test = await tinyModel("tiny-llama31");
    await using session = small(test.model, { policy });
    const system = { role: "system", content: SYSTEM.join(" ") };
    const most = policy.allocate ? 2 * BUDGET : BUDGET;
    for (let turn = 0; turn < 20; turn++) {
      const said = { role: "user", content: words(turn + 10) };
      await session.append({ messages: turn === 0 ? [system, said] : [said] });
      const { held } = session.stats();
      const heads = policy.name === "ada_kv" ? CONTEXT : most;
      assert(held.every((one) => one <= heads), held.join());
      const answer = await whole(session.generate({ maxTokens: 12 }));
      assertEquals([answer.ids.length, answer.finishReason], [12, "length"]);
      assert(session.stats().bytes.now < 2 * CONTEXT * 3 * 2 * 33 * 4 * 4);
    }
    assertEquals(session.ids.length, 12 + 20 * 32);
    const held = await heldByAll(session, test.model);
    for (let token = 0; token < SYSTEM.length; token++) {
      assert(held.has(token), `token ${token} of the system message is gone`);
    }
    const { turns, notes } = session.stats();
    if (policy.positions) assertEquals(turns, 0);
    else {
      assert(turns >= 3, `${turns}`);
      assert(notes.some((note) => note.startsWith(`the model's context was full ${turns} times`)));
    }
  });
}

Deno.test("an answer longer than the context goes on, and no token is lost on the way", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = small(test.model, { policy: snapKv({ window: 8 }) });
  await session.read({ ids: randomIds(60, 320) });
  const answer = await whole(session.generate({ maxTokens: 300 }));
  assertEquals([answer.ids.length, answer.finishReason], [300, "length"]);
  assertEquals(session.ids, [...randomIds(60, 320), ...answer.ids]);
  assert(session.stats().held.every((held) => held <= CONTEXT));
  assert(session.stats().rerotations > 2);
});

Deno.test("positions stay true as long as the context holds them", async () => {
  await using test = await tinyModel("tiny-qwen2");
  await using session = small(test.model, { policy: knorm() });
  await session.read({ ids: randomIds(70, 320) });
  await whole(session.generate({ maxTokens: CONTEXT - 70 + 1 }));
  assertEquals([session.ids.length, session.stats().rerotations], [CONTEXT + 1, 0]);
  // The token that was drawn last is still to be read: there is no position left for it.
  await whole(session.generate({ maxTokens: 1 }));
  assertEquals([session.ids.length, session.stats().rerotations], [CONTEXT + 2, 1]);
  await whole(session.generate({ maxTokens: 2 }));
  assertEquals(session.stats().rerotations, 1);
});

Deno.test("spans that are protected stay, wherever they are read", async () => {
  await using test = await tinyModel("tiny-mistral");
  for (const policy of [streamingLlm(), last, adaKv({ inner: snapKv({ window: 4 }) })]) {
    await using session = small(test.model, { policy, budget: 32 });
    await session.read({ ids: randomIds(60, 320) }, { protect: [{ from: 20, to: 26 }] });
    await session.append({ ids: [5, 6, 7] }, { protect: true });
    for (let turn = 0; turn < 6; turn++) {
      await session.append({ ids: randomIds(30, 320, turn) });
      await whole(session.generate({ maxTokens: 10 }));
    }
    const held = await heldByAll(session, test.model);
    for (const token of [20, 21, 22, 23, 24, 25, 60, 61, 62]) {
      assert(held.has(token), `${policy.name} took ${token}`);
    }
    assert(!held.has(19) && !held.has(63), "more than the spans stayed");
  }
});

Deno.test("a conversation is rolled back, forked and saved across rerotated keys", async () => {
  await using test = await tinyModel("tiny-qwen3");
  using folder = testFolder();
  const options = { policy: snapKv({ window: 8 }), budget: 32 };
  await using session = small(test.model, options);
  const say = async (one: typeof session, seed: number) => {
    await one.append({ messages: [{ role: "user", content: words(seed) }] });
    return (await whole(one.generate({ maxTokens: 15 }))).ids;
  };
  await session.append({ messages: [{ role: "system", content: SYSTEM.join(" ") }] });
  for (let turn = 0; turn < 4; turn++) await say(session, turn);
  assert(session.stats().rerotations > 0);
  const mark = await session.mark();
  const ids = session.ids;
  await session.save(`${folder.path}/talk.cache`);
  await using fork = await session.fork();
  const answers = [await say(session, 50), await say(session, 51), await say(session, 52)];
  const after = session.ids;
  await session.rollback(mark);
  assertEquals(session.ids, ids);
  await using loaded = small(test.model, options);
  await loaded.load(`${folder.path}/talk.cache`);
  assertEquals(loaded.ids, ids);
  for (const one of [session, fork, loaded]) {
    assertEquals([await say(one, 50), await say(one, 51), await say(one, 52)], answers);
    assertEquals(one.ids, after);
    const held = await heldByAll(one, test.model);
    assert(SYSTEM.every((_, token) => held.has(token)));
  }
});

Deno.test("session.ask() asks a second time about a document, where the context is almost full", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = small(test.model, { policy: snapKv({ window: 8 }), budget: 32 });
  await session.read({ ids: randomIds(90, 320) });
  const ask = async () => (await whole(session.ask(words(3, 30), { maxTokens: 40 }))).ids;
  const first = await ask();
  assertEquals(first.length, 40);
  assertEquals(session.ids.length, 90);
  assertEquals(await ask(), first);
  assertEquals(session.stats().held, [32, 32, 32]);
  assert(session.stats().notes.some((note) => note.includes("before the question was known")));
});

Deno.test("more than the context is read in pieces: always when appended, at first if it may be", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = small(test.model, { policy: snapKv({ window: 8 }), budget: 32 });
  const ids = Array.from({ length: 500 }, (_, index) => 2 + index * 7 % 300);
  await assertRejects(
    () => session.read({ ids }),
    PromptError,
    "'inPieces', with an eviction behind each piece",
  );
  const seen: number[] = [];
  const reading = await session.read({ ids }, {
    inPieces: true,
    onProgress: (done, total) => (assertEquals(total, 500), seen.push(done)),
  });
  assertEquals([reading.tokens, session.ids.length, seen.at(-1)], [500, 500, 500]);
  assert(seen.every((done, index) => done > (seen[index - 1] ?? 0)));
  assertEquals(session.stats().held, [32, 32, 32]);
  await session.append({ ids });
  assertEquals(session.ids, [...ids, ...ids]);
  assert(session.stats().notes.some((note) => note.startsWith("500 tokens passed the context")));
});

Deno.test("what is appended in pieces and fails changes nothing", async () => {
  await using test = await tinyModel("tiny-llama");
  const policy = (fails: boolean): Policy => ({
    name: "failing",
    evidence: { kind: "none" },
    score({ positions, length }) {
      if (fails && length < 80) throw new Error("no");
      return Float32Array.from(positions);
    },
  });
  await using session = small(test.model, { policy: policy(false), budget: 32 });
  await session.read({ ids: randomIds(60, 320) });
  const { held, kept } = session.stats();
  session.configure({ policy: policy(true) });
  const ids = Array.from({ length: 150 }, (_, index) => 2 + index);
  await assertRejects(() => session.append({ ids }), Error, "Policy 'failing' failed");
  assertEquals(session.ids, randomIds(60, 320));
  assertEquals([session.stats().held, session.stats().kept], [held, kept]);
  session.configure({ policy: policy(false) });
  await session.append({ ids });
  assertEquals(session.ids.length, 210);
});

Deno.test("a session that cannot pass the context says so in a sentence, and an answer ends there", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const ids = randomIds(60, 320);
  const cases: readonly [SessionOptions, string][] = [
    [{ policy: full() }, "policy 'full' evicts nothing; use one that evicts"],
    [{ policy: knorm(), beyondContext: "refuse" }, "'beyondContext' is 'refuse'"],
    [{ policy: knorm(), budget: 200 }, "96 tokens are held after eviction; give a smaller budget"],
  ];
  for (const [options, reason] of cases) {
    await using session = small(model, options);
    await session.read({ ids });
    const answer = await whole(session.generate({ maxTokens: 100 }));
    assertEquals([answer.ids.length, answer.finishReason], [CONTEXT - 60 + 1, "length"]);
    const { notes } = session.stats();
    assert(notes.some((note) => note.includes(reason)), notes.join("\n"));
    // The token that was drawn last cannot be read any more: nothing goes on behind it.
    const before = session.ids;
    await assertRejects(() => whole(session.generate({ maxTokens: 9 })), PromptError, reason);
    assertEquals(session.ids, before);
    await assertRejects(
      () => session.append({ ids: [5, 6] }),
      PromptError,
      `Cannot append 3 tokens: ${CONTEXT} were read and answered before, evicted ones count too, ` +
        `the model's context is ${CONTEXT} tokens`,
    );
  }
  const scaling = { kind: "dynamic", factor: 2, originalContext: 96 } as const;
  const config = { ...model.engine.config, ropes: [{ theta: 10_000, scaling }] };
  await using dynamic = small({ ...model, engine: { ...model.engine, config } }, {
    policy: knorm(),
  });
  await dynamic.read({ ids });
  await assertRejects(
    () => dynamic.append({ ids }),
    PromptError,
    "its RoPE scaling changes with the text's length",
  );
});

Deno.test("session refuses spans and settings that make no sense, and more protected than the budget", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = small(test.model, { policy: knorm(), budget: 16 });
  const ids = randomIds(60, 320);
  for (
    const span of [{ from: 5, to: 5 }, { from: -1, to: 3 }, { from: 0.5, to: 3 }, {
      from: 0,
      to: 61,
    }]
  ) {
    await assertRejects(
      () => session.read({ ids }, { protect: [span] }),
      PromptError,
      `Cannot protect tokens ${span.from} to ${span.to}`,
    );
  }
  await assertRejects(
    () => session.read({ ids }, { protect: [{ from: 0, to: 20 }] }),
    BudgetError,
    "Cannot keep 20 protected tokens within a budget of 16",
  );
  const system = { role: "system", content: randomIds(20, 320).join(" ") };
  const messages = [system, { role: "user", content: words(4) }];
  await assertRejects(() => session.append({ messages }), BudgetError, "system message");
  await using without = small(test.model, { policy: knorm(), budget: 16, protectSystem: false });
  await without.append({ messages });
  assertEquals(without.stats().held, [16, 16, 16]);
  await assertRejects(
    async () => await small(test.model, { policy: knorm(), beyondContext: "stop" as "evict" }),
    PromptError,
    "'beyondContext' must be 'evict' or 'refuse'",
  );
});
