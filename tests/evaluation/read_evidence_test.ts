import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { parsePolicies } from "../../evaluation/policy_list.ts";
import { readEvidence } from "../../evaluation/read_evidence.ts";
import { judgeQ } from "../../policies/judge_q.ts";
import { oracle } from "../../policies/oracle.ts";
import type { SoftTokens } from "../../policies/policy.ts";
import { createSession } from "../../runtime/session/open.ts";
import { openGolden } from "../runtime/_golden_file.ts";
import { tinyModel } from "../_test_model.ts";
import { wordTokenizer } from "../_word_tokenizer.ts";
import { countingModel } from "./_counting_model.ts";

/** A checkpoint whose golden has no tied scores. */
const NAME = "tiny-llama31";

const golden = openGolden(NAME);
const ids = golden.integers("input_ids");
const { kept: budget } = golden.settings;

/** The golden's soft tokens; a new copy each time. */
function softTokens(hidden: number): SoftTokens {
  const embeddings = Float32Array.from(golden.floats("judge_q.soft"));
  return { count: embeddings.length / hidden, hidden, embeddings, trained: true };
}

Deno.test("readEvidence() lets every policy keep what it keeps in a session of its own", async () => {
  await using tiny = await tinyModel(NAME);
  const { model } = tiny;
  const { hidden } = model.config;
  const policies = [
    ...(await parsePolicies(
      "random,full,h2o(recent=0,normalize=visible),snapkv(window=8,kernel=5,pooling=avg)," +
        "snapkv(window=3,kernel=1),oracle(tokens=5),oracle(tokens=9)",
    )).map(({ policy }) => policy),
    judgeQ({ softTokens: softTokens(hidden), window: 0, kernel: 1 }),
    oracle({ ids: golden.integers("judge_q.response") }),
  ];
  const facts = await model.facts();
  const request = { engine: model.engine, facts, ids, policies, answerTokens: 5 };
  using evidence = await readEvidence(request);
  assertEquals(evidence.answer.length, 5);
  for (const policy of policies) {
    for (const amount of [10, budget, ids.length]) {
      await using session = model.session({ policy, budget: amount });
      const { kept } = await session.read({ ids });
      assertEquals(await evidence.keep(policy, amount), kept, `${policy.name} at ${amount}`);
    }
  }
});

Deno.test("readEvidence() judges by no draft where a question follows the prompt", async () => {
  await using tiny = await tinyModel(NAME);
  const { model } = tiny;
  const judge = { softTokens: softTokens(model.config.hidden), kernel: 1, window: 4 };
  const [drafting, alone] = [judgeQ(judge), judgeQ({ ...judge, draft: 0 })];
  const facts = await model.facts();
  const policies = [drafting, alone];
  const request = { engine: model.engine, facts, ids, policies, answerTokens: 5 };
  const kept = async (then: readonly number[]) => {
    using evidence = await readEvidence({ ...request, then });
    return [await evidence.keep(drafting, budget), await evidence.keep(alone, budget)];
  };
  const [unasked, asked] = [await kept([7, 8, 9]), await kept([])];
  assertEquals(unasked[0], unasked[1]);
  assertEquals(asked[1], unasked[1]);
  assertNotEquals(asked[0], asked[1]);
});

Deno.test("readEvidence() reads once, answers once and probes equal judges once", async () => {
  await using tiny = await tinyModel(NAME);
  const { model, calls } = countingModel(tiny.model);
  const { hidden } = model.config;
  const policies = [
    ...(await parsePolicies("h2o,snapkv(window=8),snapkv(window=20),oracle(tokens=6)"))
      .map(({ policy }) => policy),
    judgeQ({ softTokens: softTokens(hidden), kernel: 1, draft: 0 }),
    judgeQ({ softTokens: softTokens(hidden), kernel: 7, draft: 0 }),
    judgeQ({ draft: 0 }),
  ];
  const facts = await model.facts();
  const request = { engine: model.engine, facts, ids, policies, answerTokens: 6 };
  using evidence = await readEvidence(request);
  const read = calls.advanced.filter((tokens) => tokens > 1);
  assertEquals(read.reduce((sum, tokens) => sum + tokens, 0), ids.length);
  assertEquals(calls.advanced.filter((tokens) => tokens === 1).length, evidence.answer.length - 1);
  assertEquals(calls.probed, [evidence.answer.length, 0, 0]);
});

Deno.test("answerFrom() gives a session's answer and leaves the whole cache as it was", async () => {
  await using tiny = await tinyModel(NAME);
  const { model } = tiny;
  const [named] = await parsePolicies("snapkv(window=8)");
  assert(named);
  const { policy } = named;
  const facts = await model.facts();
  const request = { engine: model.engine, facts, ids, policies: [policy], answerTokens: 12 };
  using evidence = await readEvidence(request);
  const kept = await evidence.keep(policy, budget);
  const answer = await evidence.answerFrom(kept, 12);
  const again = await evidence.answerFrom(kept, 12);
  assertEquals([again.result, again.bytes], [answer.result, answer.bytes]);
  const total = kept.flat().reduce((sum, { length }) => sum + length, 0);
  const { layers, kvHeads } = model.config;
  assertEquals(answer.bytes, evidence.bytes * total / (ids.length * layers * kvHeads));
  await using session = model.session({ policy, budget });
  const own = session.generate({ ids }, { maxTokens: 12 });
  for await (const _ of own);
  const eos = new Set(model.config.eosIds);
  assertEquals(answer.result.filter((id) => !eos.has(id)), [...own.ids]);
  const all = await evidence.keep(policy, ids.length);
  assertEquals((await evidence.answerFrom(all, 12)).result, evidence.answer);
});

Deno.test("answerFrom() evicts while the answer is written, as a session does", async () => {
  await using tiny = await tinyModel(NAME);
  const { model } = tiny;
  const engine = { ...model.engine, config: { ...model.config, eosIds: [] } };
  const inners = ["snapkv(window=8)", "h2o", "judge_q(window=8)", "knorm", "ada_kv(h2o)"];
  const policies = (await parsePolicies(
    inners.map((inner) => `while_decoding(${inner},every=8,target=20)`).join(","),
  )).map(({ policy }) => policy);
  const facts = await model.facts();
  using evidence = await readEvidence({ engine, facts, ids, policies, answerTokens: 1 });
  for (const [index, policy] of policies.entries()) {
    // All of the prompt is kept by the larger budget, until the answer is written.
    for (const amount of [24, ids.length]) {
      const kept = await evidence.keep(policy, amount);
      const { result } = await evidence.answerFrom(kept, 40, { policy, budget: amount });
      const source = {
        engine,
        tokenizer: wordTokenizer(model.config.vocabulary),
        facts: model.facts,
        now: () => 0,
      };
      await using session = createSession(source, { policy, budget: amount });
      const answer = session.generate({ ids }, { maxTokens: 40 });
      for await (const _ of answer);
      assertEquals(result, answer.ids, `${inners[index]} at ${amount}`);
    }
  }
});

Deno.test("readEvidence() ends early with an AbortError", async () => {
  await using tiny = await tinyModel(NAME);
  const { engine, facts } = tiny.model;
  const signal = AbortSignal.abort();
  const request = { engine, facts: await facts(), ids, policies: [], answerTokens: 5, signal };
  const error = await assertRejects(() => readEvidence(request), DOMException);
  assertEquals(error.name, "AbortError");
});

Deno.test("workFrom() rerotates keys where the policy that evicted does", async () => {
  await using tiny = await tinyModel(NAME);
  const { model } = tiny;
  const policies = (await parsePolicies("rerotate(knorm),knorm")).map(({ policy }) => policy);
  const facts = await model.facts();
  using evidence = await readEvidence({
    ...{ engine: model.engine, facts, ids, policies, answerTokens: 1 },
  });
  const next: number[] = [];
  for (const policy of policies) {
    const kept = await evidence.keep(policy, 20);
    const { result } = await evidence.workFrom(
      kept,
      ({ cache, position }) => {
        const last = Math.max(...cache.positions(0));
        assert(last < position, `${last} is not before ${position}`);
        return Promise.resolve(position);
      },
      { policy },
    );
    next.push(result);
  }
  assertEquals(next, [20, ids.length]);
});

Deno.test("readEvidence() ends answers where they are over, and judges by evidence that goes on", async () => {
  await using tiny = await tinyModel(NAME);
  const { model } = tiny;
  const [judge, writing] = (await parsePolicies(
    "oracle(tokens=8),while_decoding(knorm,target=8,every=4)",
  )).map(({ policy }) => policy);
  assert(judge && writing);
  const facts = await model.facts();
  const request = { engine: model.engine, facts, ids, policies: [judge, writing], answerTokens: 8 };
  using whole = await readEvidence(request);
  using ended = await readEvidence({ ...request, isOver: (answer) => answer.length === 3 });
  assertEquals(ended.answer, whole.answer.slice(0, 3));
  assertEquals(ended.attention(judge), whole.attention(judge));
  for (const policy of [judge, writing]) {
    const kept = await ended.keep(policy, budget);
    assertEquals(kept, await whole.keep(policy, budget));
    const by = { policy, budget };
    const { result } = await ended.answerFrom(kept, 8, by);
    assertEquals(result, (await whole.answerFrom(kept, 8, by)).result.slice(0, 3));
  }
});
