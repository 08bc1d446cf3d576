import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import type { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import { GrammarError } from "../../../server/scheduler/errors.ts";
import type { GenerationEvent, TokenEvent } from "../../../server/scheduler/events.ts";
import { idsRequest, jsonTokenizer, outcomeOf, someIds, testScheduler } from "./_test_scheduler.ts";

const tokensOf = (events: readonly GenerationEvent[]): readonly TokenEvent[] =>
  events.flatMap((event) => event.kind === "token" ? [event] : []);

Deno.test("log probabilities are those of the model, best first, and greedy draws the best", async () => {
  await using test = await testScheduler();
  const { events } = await outcomeOf(test.scheduler, idsRequest(someIds(30), { logprobs: 3 }));
  for (const { id, logprob, top } of tokensOf(events)) {
    assertEquals(top?.length, 3);
    assertEquals([top?.[0]?.id, top?.[0]?.logprob], [id, logprob]);
    assert((top?.[0]?.logprob ?? 0) >= (top?.[1]?.logprob ?? 1));
    assert((logprob ?? 1) <= 0);
  }
});

Deno.test("a prompt's own log probabilities are those that its tokens have when they are written", async () => {
  await using test = await testScheduler();
  const { scheduler } = test;
  const ids = someIds(30);
  const first = await outcomeOf(scheduler, idsRequest(ids, { logprobs: 1, maxTokens: 5 }));
  const whole = [...ids, ...(first.answers[0] ?? [])];
  const { events } = await outcomeOf(
    scheduler,
    idsRequest(whole, { promptLogprobs: true, logprobs: 1, maxTokens: 0 }),
  );
  const prompt = events.find((event) => event.kind === "prompt");
  assert(prompt?.kind === "prompt");
  assertEquals(prompt.tokens.map(({ id }) => id), whole);
  assertEquals(prompt.tokens[0]?.logprob, undefined);
  for (const [index, { logprob }] of tokensOf(first.events).entries()) {
    // Answers are written in bytes, prompts are read in floats.
    assertAlmostEquals(prompt.tokens[30 + index]?.logprob ?? 0, logprob ?? 1, 0.2);
  }
});

Deno.test("a prompt's log probabilities are its own alone, where a draft of the answer judges it", async () => {
  await using test = await testScheduler();
  const ids = someIds(30);
  for (const policy of ["judge_q", "lookahead_q_cache"]) {
    const eviction = { policy: `${policy}(window=4)`, budget: { tokens: 12 } };
    const { events } = await outcomeOf(
      test.scheduler,
      idsRequest(ids, { promptLogprobs: true, eviction, maxTokens: 1 }),
    );
    const prompt = events.find((event) => event.kind === "prompt");
    assert(prompt?.kind === "prompt");
    assertEquals(prompt.tokens.map(({ id }) => id), ids, policy);
  }
});

Deno.test("logit_bias forces and forbids tokens, penalties keep answers from repeating", async () => {
  await using test = await testScheduler();
  const { scheduler } = test;
  const drawn = async (changes: object) => {
    const sampling = { temperature: 0, seed: 0, ...changes };
    return (await outcomeOf(scheduler, idsRequest(someIds(30), { sampling }))).answers[0] ?? [];
  };
  assertEquals(await drawn({ logitBias: { 17: 100 } }), new Array(8).fill(17));
  const plain = await drawn({});
  const [first = 0] = plain;
  assert((await drawn({ logitBias: { [first]: -100 } }))[0] !== first);
  const penalised = await drawn({ logitBias: { 17: 30 }, presencePenalty: 2, frequencyPenalty: 2 });
  assertEquals(penalised[0], 17);
  assert(new Set(await drawn({ presencePenalty: 2 })).size >= new Set(plain).size);
});

Deno.test("explain says which share of heads kept each prompt token", async () => {
  await using test = await testScheduler();
  const eviction = { policy: "streaming_llm", budget: { tokens: 10 } };
  const { done } = await outcomeOf(
    test.scheduler,
    idsRequest(someIds(40), { eviction, explain: true }),
  );
  const kept = done.kvjudge.tokens?.map((token) => token.kept) ?? [];
  assertEquals(kept.length, 40);
  assertAlmostEquals(kept.reduce((sum, one) => sum + one, 0), 10, 1e-9);
  assertEquals(kept.at(-1), 1);
});

Deno.test("stop texts end an answer and are not part of it", async () => {
  await using test = await testScheduler();
  const plain = await outcomeOf(test.scheduler, idsRequest(someIds(30)));
  const third = plain.answers[0]?.[2] ?? 0;
  const stop = [` ${third}`];
  const { events, texts, done } = await outcomeOf(
    test.scheduler,
    idsRequest(someIds(30), { stop }),
  );
  const expected = (plain.texts[0] ?? "").split(` ${third}`)[0];
  assertEquals(texts[0], expected);
  const end = events.find((event) => event.kind === "end");
  assert(end?.kind === "end");
  assertEquals([end.finishReason, end.stopText], ["stop", ` ${third}`]);
  assert(done.usage.completionTokens <= 3);
});

Deno.test("an answer is what its grammar allows, and what cannot be one is refused at once", async () => {
  await using test = await testScheduler({}, jsonTokenizer);
  const { scheduler } = test;
  const schema = { type: "array", items: { enum: [1, 2] }, minItems: 2, maxItems: 3 };
  const grammar = { kind: "json_schema", schema } as const;
  const sampling = { temperature: 1, seed: 4 };
  const request = idsRequest(someIds(30), { grammar, sampling, choices: 4, maxTokens: 60 });
  const { texts, events } = await outcomeOf(scheduler, request);
  for (const text of texts) {
    const value: unknown = JSON.parse(text);
    assert(Array.isArray(value) && value.length >= 2 && value.length <= 3, text);
    assert(value.every((one) => one === 1 || one === 2), text);
  }
  const ends = events.flatMap((event) => event.kind === "end" ? [event.finishReason] : []);
  assertEquals(ends, new Array(4).fill("stop"));
  const never = { kind: "json_schema", schema: false } as const;
  await assertRejects(
    () => outcomeOf(scheduler, idsRequest(someIds(30), { grammar: never })),
    GrammarError,
  );
});

Deno.test("a grammar for a large vocabulary is compiled while answers of others are written", async () => {
  const large = (): Tokenizer => {
    const small = jsonTokenizer(200);
    const tokenBytes = (id: number) =>
      id < 200 ? small.tokenBytes(id) : new TextEncoder().encode(`x${(id * 7919).toString(36)}`);
    return { ...small, vocabulary: 500_000, tokenBytes };
  };
  await using test = await testScheduler({}, large);
  const { scheduler } = test;
  let [written, meanwhile] = [0, 0];
  const other = (async () => {
    const request = idsRequest(someIds(9), { maxTokens: 400 });
    for await (const event of scheduler.submit(request)) if (event.kind === "token") written++;
  })();
  while (written === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const before = written;
  const grammar = { kind: "json_object" } as const;
  for await (const event of scheduler.submit(idsRequest(someIds(9), { grammar, maxTokens: 4 }))) {
    if (event.kind === "accepted") meanwhile = written - before;
  }
  await other;
  // One is on its way in any case.
  assert(meanwhile > 2, `${meanwhile} tokens`);
});
