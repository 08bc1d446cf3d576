import { assert, assertEquals, assertRejects } from "@std/assert";
import { full } from "../../../policies/full.ts";
import { h2o } from "../../../policies/h2o.ts";
import { judgeQ } from "../../../policies/judge_q.ts";
import { knorm } from "../../../policies/knorm.ts";
import type { Policy } from "../../../policies/policy.ts";
import { chunkKv } from "../../../policies/chunk_kv.ts";
import { expectedAttention } from "../../../policies/expected_attention.ts";
import { graphKv } from "../../../policies/graphkv.ts";
import { lagKv } from "../../../policies/lagkv.ts";
import { lookaheadQCache } from "../../../policies/lookahead_q_cache.ts";
import { tova } from "../../../policies/tova.ts";
import { pyramidKv } from "../../../policies/pyramidkv.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { streamingLlm } from "../../../policies/streaming_llm.ts";
import { BudgetError, KvjudgeError, PromptError } from "../../../runtime/errors.ts";
import { assertClose } from "../../_close.ts";
import { randomIds, TINY, tinyModel } from "../../_test_model.ts";
import { chatModel, whole } from "./_chat.ts";

const CLOSE = { absolute: 1e-3, relative: 1e-4 };

for (const name of TINY) {
  Deno.test(`pitfalls 2 and 3, positions and masks after eviction: session.append() on ${name} equals hiding what was evicted`, async () => {
    await using tiny = await tinyModel(name);
    const { model, reference } = tiny;
    const ids = randomIds(40, model.config.vocabulary, 3);
    const more = [7, 8, 9, 10, 11];
    await using session = model.session({ policy: snapKv({ window: 4, kernel: 3 }), budget: 12 });
    const { kept } = await session.read({ ids });
    const visible = kept.map((heads) => heads.map((indices) => new Set(indices)));
    const { logits } = await session.append({ ids: more });
    const masked = reference.run(more, {
      cache: reference.run(ids).cache,
      visible: (layer, head, index) =>
        index >= ids.length || (visible[layer]?.[head]?.has(index) ?? false),
    });
    assertClose(logits, masked.logits.slice(-logits.length), CLOSE, "logits");
    assertEquals(session.stats().tokens, 45);
  });
}

Deno.test("pitfall 16, an evicted cache is no prefix: session.read() begins anew though the text begins alike", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const ids = randomIds(80, tiny.model.config.vocabulary, 12);
  await using session = tiny.model.session({ policy: knorm(), budget: 60 });
  await session.read({ ids: ids.slice(0, 70) });
  const { logits } = await session.read({ ids });
  await using fresh = tiny.model.session({ policy: knorm(), budget: 60 });
  assertEquals(logits, (await fresh.read({ ids })).logits);
  assertEquals(session.stats().prefilled, 80);
});

Deno.test("session.append() without eviction is reading everything at once", async () => {
  await using tiny = await tinyModel("tiny-qwen3");
  const ids = randomIds(60, tiny.model.config.vocabulary, 2);
  await using once = tiny.model.session({ policy: full() });
  await using parts = tiny.model.session({ policy: full() });
  const { logits } = await once.read({ ids });
  await parts.append({ ids: ids.slice(0, 20) });
  await parts.append({ ids: ids.slice(20, 21) });
  const appended = await parts.append({ ids: ids.slice(21) });
  assertClose(appended.logits, logits, CLOSE, "logits");
  assertEquals(parts.ids, ids);
  const answers = [once, parts].map((session) => session.generate({ maxTokens: 8 }));
  for (const answer of answers) await whole(answer);
  assertEquals(answers[0]?.ids, answers[1]?.ids);
});

const EVICTING: readonly [string, () => Policy][] = [
  ["knorm", knorm],
  ["h2o", h2o],
  ["snapkv", () => snapKv({ window: 4 })],
  ["judge_q", () => judgeQ({ window: 4 })],
  ["streaming_llm", streamingLlm],
  ["pyramidkv", () => pyramidKv({ window: 4 })],
  ["tova", tova],
  ["lagkv", () => lagKv({ sinks: 2, lag: 4 })],
  ["expected_attention", () => expectedAttention({ sinks: 2 })],
  ["lookahead_q_cache", () => lookaheadQCache({ steps: 3, window: 4 })],
  ["chunk_kv", () => chunkKv({ inner: snapKv({ window: 4 }), chunk: 4 })],
  ["graphkv", () => graphKv({ inner: snapKv({ window: 4 }) })],
];

for (const [name, policy] of EVICTING) {
  Deno.test(`pitfall 8, eviction that silently stops: session.append() evicts to the budget each time with ${name}`, async () => {
    await using tiny = await tinyModel("tiny-llama");
    const ids = randomIds(200, tiny.model.config.vocabulary, 4);
    await using session = tiny.model.session({ policy: policy(), budget: 16 });
    await session.append({ ids: ids.slice(0, 10) });
    assertEquals(session.stats().held, [10, 10, 10]);
    let answered = 0;
    for (let at = 10; at < 200; at += 38) {
      await session.append({ ids: ids.slice(at, at + 38) });
      const { ids: answer, finishReason } = await whole(session.generate({ maxTokens: 4 }));
      answered += answer.length;
      const { kept, held, bytes } = session.stats();
      // Heads may share what a layer keeps.
      const ofLayers = kept.map((heads) =>
        heads.reduce((sum, count) => sum + count, 0) / heads.length
      );
      const total = ofLayers.reduce((sum, count) => sum + count, 0);
      assertEquals(total, 48, `${kept}`);
      // Where the answer was cut, its last token is still to be read.
      const read = answer.length - (finishReason === "length" ? 1 : 0);
      assertEquals(held, ofLayers.map((count) => count + read));
      assert(bytes.after < bytes.before);
    }
    assertEquals(session.ids.length, 200 + answered);
  });
}

Deno.test("session.append() counts a ratio from all that was read", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const ids = randomIds(100, tiny.model.config.vocabulary, 5);
  await using session = tiny.model.session({ policy: knorm(), budget: 0.2 });
  await session.read({ ids: ids.slice(0, 50) });
  assertEquals(session.stats().held, [10, 10, 10]);
  await session.append({ ids: ids.slice(50) });
  assertEquals(session.stats().held, [20, 20, 20]);
});

Deno.test("pitfall 15, the last token on resuming: session.append() reads the whole answer", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const ids = randomIds(30, tiny.model.config.vocabulary, 6);
  await using session = tiny.model.session({ policy: full() });
  const answer = await whole(session.generate({ ids }, { maxTokens: 5 }));
  assertEquals(session.ids, [...ids, ...answer.ids]);
  await session.append({ ids: [9, 8] });
  assertEquals(session.ids, [...ids, ...answer.ids, 9, 8]);
  assertEquals(session.stats().held, [37, 37, 37]);
  await using once = tiny.model.session({ policy: full() });
  await once.read({ ids: session.ids });
  const answers = [session, once].map((each) => each.generate({ maxTokens: 6 }));
  for (const each of answers) await whole(each);
  assertEquals(answers[0]?.ids, answers[1]?.ids);
});

Deno.test("session.generate() goes on where an answer ended, token for token", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const ids = randomIds(60, tiny.model.config.vocabulary, 7);
  await using session = tiny.model.session({ policy: knorm(), budget: 16 });
  const all = await whole(session.generate({ ids }, { maxTokens: 12 }));
  await session.read({ ids });
  const parts: number[] = [];
  for (const maxTokens of [1, 4, 7]) {
    parts.push(...(await whole(session.generate({ maxTokens }))).ids);
  }
  assertEquals(parts, [...all.ids]);
});

Deno.test("session.generate() goes on with an answer that was aborted", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const ids = randomIds(60, tiny.model.config.vocabulary, 7);
  await using session = tiny.model.session({ policy: full() });
  // This model has no tokenizer, so that its texts are empty: a signal ends the answer.
  const { ids: all } = await whole(session.generate({ ids }, { maxTokens: 12 }));
  await session.read({ ids });
  const answer = session.generate({ maxTokens: 12, signal: AbortSignal.abort() });
  await whole(answer);
  const rest = await whole(session.generate({ maxTokens: 12 - answer.ids.length }));
  assertEquals([...answer.ids, ...rest.ids], [...all]);
});

Deno.test("pitfall 18, chat structure: session.append() of turns reads what the whole conversation would", async () => {
  await using test = await chatModel();
  const { model } = test;
  await using session = model.session({ policy: knorm(), budget: 48 });
  const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "Where?" }];
  await session.read({ messages });
  const told = messages.slice();
  for (const content of ["Why there?", "the inn", "(2)"]) {
    const answer = await whole(session.generate({ maxTokens: 7, temperature: 1, seed: 3 }));
    told.push({ role: "assistant", content: answer.text }, { role: "user", content });
    await session.append({ messages: [{ role: "user", content }] });
    assertEquals(session.ids, model.tokenizer.encodeChat(told));
    assertEquals(session.stats().held, [48, 48].map((held) => Math.min(held, session.ids.length)));
  }
});

Deno.test("session.append() says what was read and what the context is when it is full", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const { context, vocabulary } = tiny.model.config;
  await using session = tiny.model.session({
    policy: knorm(),
    budget: 16,
    beyondContext: "refuse",
  });
  const ids = Array.from({ length: context - 10 }, (_, index) => 2 + index % (vocabulary - 2));
  await session.read({ ids });
  const before = session.stats();
  await assertRejects(
    () => session.append({ ids: ids.slice(0, 10) }),
    PromptError,
    `Cannot append 10 tokens: ${context - 10} were read and answered before, evicted ones count ` +
      `too, the model's context is ${context} tokens`,
  );
  assertEquals(session.stats(), before);
  await session.append({ ids: ids.slice(0, 9) });
  const answer = await whole(session.generate({ maxTokens: 50 }));
  assertEquals([answer.ids.length, answer.finishReason], [2, "length"]);
  await assertRejects(() => session.append({ ids: [5] }), PromptError, "context");
});

Deno.test("session.append() refuses nothing and unknown ids, and changes nothing", async () => {
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: knorm(), budget: 16 });
  await session.read({ ids: [4, 5, 6] });
  await assertRejects(() => session.append({ ids: [] }), PromptError, "Cannot append nothing");
  await assertRejects(() => session.append({ ids: [3, 4000] }), PromptError, "token id 4000");
  assertEquals(session.ids, [4, 5, 6]);
});

Deno.test("session.append() leaves the session as it was when the policy fails or it is aborted", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const ids = randomIds(90, tiny.model.config.vocabulary, 8);
  let fail = false;
  const moody: Policy = {
    ...knorm(),
    name: "moody",
    score: (layer) => {
      if (fail && layer.layer === 2) throw new Error("not today");
      return knorm().score(layer);
    },
  };
  await using session = tiny.model.session({ policy: moody, budget: 16, chunk: 8 });
  await whole(session.generate({ ids: ids.slice(0, 40) }, { maxTokens: 3 }));
  await using untouched = await session.fork();
  fail = true;
  await assertRejects(() => session.append({ ids: ids.slice(40) }), KvjudgeError, "not today");
  fail = false;
  const controller = new AbortController();
  const onProgress = () => controller.abort();
  await assertRejects(
    () => session.append({ ids: ids.slice(40) }, { signal: controller.signal, onProgress }),
    DOMException,
    "abort",
  );
  assertEquals(session.ids, untouched.ids);
  assertEquals(session.stats().held, untouched.stats().held);
  const answers = [];
  for (const each of [session, untouched]) {
    await each.append({ ids: ids.slice(40) });
    answers.push((await whole(each.generate({ maxTokens: 6 }))).ids);
  }
  assertEquals(answers[0], answers[1]);
});

Deno.test("session.append() ends an answer that is being made; what was made stays", async () => {
  await using test = await chatModel();
  await using session = test.model.session({ policy: knorm(), budget: 24 });
  await session.read({ text: "Mill Lane has twelve houses" });
  const before = session.ids.length;
  const answer = session.generate({ maxTokens: 90 });
  const iterator = answer[Symbol.asyncIterator]();
  await iterator.next();
  await session.append({ text: " and an inn" });
  await assertRejects(() => iterator.next(), PromptError, "begun to read or answer something else");
  const more = test.model.tokenizer.encode(" and an inn");
  assertEquals(session.ids.slice(before), [...answer.ids, ...more]);
});

Deno.test("session.append() keeps to a budget that is too small for what the policy protects", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const ids = randomIds(90, tiny.model.config.vocabulary, 9);
  await using session = tiny.model.session({ policy: snapKv({ window: 32 }), budget: 24 });
  await session.read({ ids: ids.slice(0, 20) });
  await assertRejects(() => session.append({ ids: ids.slice(20) }), BudgetError, "at least 32");
  assertEquals(session.ids.length, 20);
});

Deno.test("session.generate() without a prompt says that nothing was read", async () => {
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: full() });
  await assertRejects(() => whole(session.generate()), PromptError, "nothing was read");
});
