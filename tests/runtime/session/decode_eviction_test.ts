import { assert, assertEquals, assertRejects } from "@std/assert";
import { adaKv } from "../../../policies/ada_kv.ts";
import { createPolicy } from "../../../policies/create.ts";
import { h2o } from "../../../policies/h2o.ts";
import { keyDiff } from "../../../policies/keydiff.ts";
import { OptionError, type ScorerPolicy } from "../../../policies/policy.ts";
import { registry } from "../../../policies/registry.ts";
import { streamingLlm } from "../../../policies/streaming_llm.ts";
import { whileDecoding } from "../../../policies/while_decoding.ts";
import type { KvCache } from "../../../runtime/cache/kv_cache.ts";
import type { Engine } from "../../../runtime/engine/engine.ts";
import { PolicyError } from "../../../runtime/errors.ts";
import { createSession } from "../../../runtime/session/open.ts";
import type { Model } from "../../../runtime/model.ts";
import type { Session, SessionOptions } from "../../../runtime/session/session.ts";
import { argmax } from "../../_reference_model.ts";
import { randomIds, tinyModel } from "../../_test_model.ts";
import { wordTokenizer } from "../../_word_tokenizer.ts";

const IDS = randomIds(96, 320);
const EVERY = 8;
const TARGET = 24;
const BUDGET = 24;

/** Options that make a policy's windows fit into the budget. */
const SMALL: Readonly<Record<string, object>> = {
  lookahead_kv: { window: 8 },
  lookahead_q_cache: { window: 8, steps: 3 },
  graphkv: { window: 8 },
  judge_q: { window: 4 },
  kvzap: { window: 8 },
  lagkv: { lag: 8 },
  pyramidkv: { window: 8 },
  rest_kv: { window: 8 },
  snapkv: { window: 8 },
};

/** What a wrapper needs besides. */
const SECOND: Readonly<Record<string, object>> = { compose: { second: keyDiff() } };

/** @param onStep Is told of each token that is written, after it was read. */
function openSession(
  { engine, facts }: Model,
  options: SessionOptions,
  onStep: (cache: KvCache) => void = () => {},
): Session {
  const config = { ...engine.config, eosIds: [] };
  const tokenizer = wordTokenizer(config.vocabulary);
  const watched: Engine = {
    ...engine,
    config,
    async advance(sequence, input) {
      const outputs = await engine.advance(sequence, input);
      // Drafts are told from what is written by the queries that they are made for.
      if (input.ids?.length === 1 && input.queries === undefined) onStep(sequence.cache);
      return outputs;
    },
  };
  return createSession({ engine: watched, tokenizer, facts, now: () => 0 }, options);
}

async function answered(session: Session, maxTokens: number, from = true) {
  const answer = from
    ? session.generate({ ids: IDS }, { maxTokens })
    : session.generate({ maxTokens });
  for await (const _ of answer);
  return answer.ids;
}

for (const { name, load } of Object.values(registry)) {
  const { default: create } = await load();
  const { options = {}, evicts, phases } = await create();
  if (evicts === false || "inner" in options || phases?.decoding) continue;
  Deno.test(`pitfall 14, growth while decoding: while_decoding(${name}) never holds more than target and interval`, async () => {
    await using test = await tinyModel("tiny-llama31");
    const inner = await createPolicy(name, SMALL[name] ?? {});
    const policy = whileDecoding({ inner: inner as ScorerPolicy, every: EVERY, target: TARGET });
    let [steps, bytes] = [0, 0];
    const onStep = (cache: KvCache) => {
      steps++;
      // An oracle's answer, and a repetition, are written behind the cache to judge, and taken back.
      if (policy.evidence.kind === "given" || policy.evidence.kind === "replay") return;
      bytes = Math.max(bytes, cache.bytes);
      assert(meanHeld(cache) <= TARGET + EVERY, `${meanHeld(cache)} after ${steps} steps`);
    };
    await using session = openSession(test.model, { policy, budget: BUDGET }, onStep);
    const answer = { ids: await answered(session, 60) };
    assert(steps >= 59, `${steps}`);
    const flat = bytes;
    const { decodeEvictions, tokens, prefilled, steps: decoded } = session.stats();
    assertEquals([answer.ids.length, tokens, prefilled, decoded], [60, 156, 96, 59]);
    assertEquals(decodeEvictions, Math.floor(59 / EVERY));
    // Memory is flat: a second answer of the same length takes no more.
    await answered(session, 60, false);
    assertEquals(bytes, flat);
  });
}

/** Tokens of a KV head, on average over all heads and layers. */
function meanHeld(cache: KvCache): number {
  const lengths = Array.from({ length: cache.layers }, (_, layer) => cache.lengths(layer)).flat();
  return lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
}

for (const { name, load } of Object.values(registry)) {
  const { default: create } = await load();
  if (!("inner" in ((await create()).options ?? {})) || name === "while_decoding") continue;
  Deno.test(`while_decoding and ${name} wrap each other either way, or refuse to`, async () => {
    await using test = await tinyModel("tiny-llama31");
    const inner = await scorer("snapkv");
    const evicting = { every: EVERY, target: TARGET };
    const wrap = async (given: ScorerPolicy) =>
      await createPolicy(name, { inner: given, ...SECOND[name] }) as ScorerPolicy;
    const outside = whileDecoding({ inner: await wrap(inner), ...evicting });
    let most = 0;
    const onStep = (cache: KvCache) => most = Math.max(most, meanHeld(cache));
    await using session = openSession(test.model, { policy: outside, budget: BUDGET }, onStep);
    const ids = await answered(session, 40);
    assertEquals([most, session.stats().decodeEvictions], [TARGET + EVERY, 4]);
    if (name === "compose") {
      await assertRejects(
        () => wrap(whileDecoding({ inner, ...evicting })),
        OptionError,
        "wrap the whole",
      );
      return;
    }
    const policy = await wrap(whileDecoding({ inner, ...evicting }));
    await using other = openSession(test.model, { policy, budget: BUDGET });
    assertEquals(await answered(other, 40), ids);
    assertEquals(other.stats().decodeEvictions, 4);
  });
}

Deno.test("while_decoding changes nothing where the target is never passed", async () => {
  await using test = await tinyModel("tiny-qwen3");
  const plain = streamingLlm();
  const policy = whileDecoding({ inner: plain, every: 4, target: 500 });
  await using one = openSession(test.model, { policy: plain, budget: 96 });
  await using other = openSession(test.model, { policy, budget: 96 });
  assertEquals(await answered(other, 40), await answered(one, 40));
  assertEquals(other.stats().decodeEvictions, 0);
});

Deno.test("an answer evicted while it is written equals one with the evicted tokens hidden", async () => {
  await using test = await tinyModel("tiny-llama31");
  const { reference, model: { config: { vocabulary } } } = test;
  const policy = whileDecoding({ inner: streamingLlm({ sinks: 4 }), every: EVERY, target: TARGET });
  await using session = openSession(test.model, { policy, budget: BUDGET });
  const ids = await answered(session, 40);

  let { logits, cache } = reference.run(IDS);
  /** Tokens before `end` are evicted but for the sinks and the last ones. */
  let end = IDS.length;
  const expected: number[] = [];
  for (let written = 1; written <= 40; written++) {
    const id = argmax(logits.subarray(-vocabulary));
    expected.push(id);
    const visible = (_layer: number, _head: number, index: number) =>
      index < 4 || index >= end - (TARGET - 4);
    ({ logits, cache } = reference.run([id], { cache, visible }));
    if (written % EVERY === 0) end = IDS.length + written;
  }
  assertEquals(ids, expected);
});

Deno.test("a question leaves no trace, though its answer was evicted while it was written", async () => {
  await using test = await tinyModel("tiny-llama");
  const policy = whileDecoding({ inner: await scorer("snapkv"), every: EVERY });
  await using session = openSession(test.model, { policy, budget: BUDGET });
  await session.read({ ids: IDS });
  const { held } = session.stats();
  const ask = async () => {
    const answer = session.ask("5 6 7", { maxTokens: 30 });
    for await (const _ of answer);
    return answer.ids;
  };
  const first = await ask();
  assert(session.stats().decodeEvictions >= 3);
  assertEquals(session.stats().held, held);
  assertEquals(await ask(), first);
});

Deno.test("a mark brings back the very numbers that an eviction while writing read again", async () => {
  await using test = await tinyModel("tiny-llama31");
  for (const name of ["h2o", "snapkv", "judge_q", "knorm"]) {
    const policy = whileDecoding({ inner: await scorer(name), every: EVERY, target: TARGET });
    // The prompt is whole, so that its end is read again too.
    await using session = openSession(test.model, { policy, budget: 500 });
    await session.read({ ids: IDS.slice(0, 30) });
    await answered(session, 3, false);
    const path = `${test.home}/${name}.safetensors`;
    const saved = async () => {
      await session.save(path);
      return await Deno.readFile(path);
    };
    const before = await saved();
    using mark = await session.mark();
    const answer = await answered(session, 20, false);
    assert(session.stats().decodeEvictions > 0);
    await session.rollback(mark);
    assertEquals(await saved(), before, name);
    assertEquals(await answered(session, 20, false), answer, name);
  }
});

Deno.test("an answer that was left or saved goes on as if it had not been", async () => {
  await using test = await tinyModel("tiny-qwen2");
  const inners = await Promise.all(["h2o", "judge_q", "expected_attention"].map(scorer));
  for (const inner of [...inners, adaKv({ inner: h2o() })]) {
    const { name } = inner;
    const policy = whileDecoding({ inner, every: EVERY });
    await using whole = openSession(test.model, { policy, budget: BUDGET });
    const expected = await answered(whole, 50);

    await using left = openSession(test.model, { policy, budget: BUDGET });
    const answer = left.generate({ ids: IDS }, { maxTokens: 50 });
    for await (const _ of answer) {
      if (answer.ids.length === 21) break;
    }
    const path = `${test.home}/${name}.safetensors`;
    await left.save(path);
    const rest = await answered(left, 29, false);
    assertEquals([...answer.ids, ...rest], expected, name);

    await using loaded = openSession(test.model, { policy, budget: BUDGET });
    await loaded.load(path);
    assertEquals(await answered(loaded, 29, false), rest, name);
  }
});

Deno.test("an answer goes on where a policy failed while it was written", async () => {
  await using test = await tinyModel("tiny-llama");
  const inner = await scorer("snapkv");
  let failing = false;
  const policy = whileDecoding({
    inner: {
      ...inner,
      score(layer) {
        if (failing && layer.layer === 1) throw new Error("no score today");
        return inner.score(layer);
      },
    },
    every: EVERY,
  });
  const plain = streamingLlm();
  await using whole = openSession(test.model, { policy, budget: BUDGET });
  const first = await answered(whole, 2 * EVERY);
  whole.configure({ policy: plain });
  const rest = await answered(whole, 10, false);

  await using session = openSession(test.model, { policy, budget: BUDGET });
  const answer = session.generate({ ids: IDS }, { maxTokens: 50 });
  await assertRejects(
    async () => {
      for await (const _ of answer) failing = answer.ids.length > EVERY;
    },
    PolicyError,
    "no score today",
  );
  assertEquals(answer.ids, first);
  assertEquals(session.ids, [...IDS, ...first]);
  session.configure({ policy: plain });
  assertEquals(await answered(session, 10, false), rest);
});

Deno.test("more can be appended to an answer that was evicted while it was written", async () => {
  await using test = await tinyModel("tiny-qwen3");
  for (const name of ["h2o", "judge_q"]) {
    const policy = whileDecoding({ inner: await scorer(name), every: EVERY });
    await using session = openSession(test.model, { policy, budget: BUDGET });
    await answered(session, 30);
    await using fork = await session.fork();
    const more = randomIds(20, 320, 7);
    const answers = [];
    for (const each of [session, fork]) {
      await each.append({ ids: more });
      assertEquals(each.stats().held, each.stats().held.map(() => BUDGET));
      answers.push(await answered(each, 30, false));
    }
    assertEquals(answers[0], answers[1]);
    assertEquals(session.ids.slice(126, 146), more);
    assertEquals(session.stats().decodeEvictions, 6);
  }
});

async function scorer(name: string): Promise<ScorerPolicy> {
  return await createPolicy(name, SMALL[name] ?? {}) as ScorerPolicy;
}
