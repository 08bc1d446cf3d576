import { assert, assertEquals, assertRejects } from "@std/assert";
import { registry } from "../../../policies/registry.ts";
import {
  ContextOverflowError,
  OverloadedError,
  RequestTimeoutError,
  StoppingError,
  UnknownModelError,
} from "../../../server/scheduler/errors.ts";
import type { GenerationRequest } from "../../../server/scheduler/request.ts";
import type { Scheduler } from "../../../server/scheduler/scheduler.ts";
import { idsRequest, outcomeOf, someIds, testScheduler } from "./_test_scheduler.ts";

Deno.test("submit() gives accepted, reading, tokens, end and done, in this order", async () => {
  await using test = await testScheduler();
  const { events, answers, done } = await outcomeOf(test.scheduler, idsRequest(someIds(40)));
  assertEquals(
    [...new Set(events.map(({ kind }) => kind))],
    ["accepted", "reading", "token", "end", "done"],
  );
  assertEquals(answers[0]?.length, 8);
  assertEquals(done.usage, { promptTokens: 40, completionTokens: 8, cachedTokens: 0 });
  assertEquals(done.kvjudge.kept, 40);
});

/** A scheduler that answers one request after the other, and keeps nothing of any. */
const oneByOne = () => testScheduler({ parallel: 1, cacheMemory: 0 });

/** Requests one after the other, then all at once on another scheduler. */
async function bothWays(first: Scheduler, requests: readonly GenerationRequest[]) {
  const alone = [];
  for (const request of requests) alone.push(await outcomeOf(first, request));
  await using test = await testScheduler({ parallel: 8 });
  const together = await Promise.all(requests.map((one) => outcomeOf(test.scheduler, one)));
  const { steps, stepTokens } = test.scheduler.stats();
  return {
    alone: alone.map(({ answers }) => answers),
    together: together.map(({ answers }) => answers),
    batch: stepTokens / steps,
  };
}

/** Those that evict while they write, or read, are among them. */
const EXPRESSIONS = [
  // By itself it keeps more than there is.
  ...Object.keys(registry).map((name) => name === "kvzap" ? "kvzap(window=16)" : name),
  "while_decoding(snapkv(window=4),every=3)",
  "while_reading(h2o,every=8,keep=50)",
];

Deno.test("8 requests at once are answered as one after the other, whatever evicts", async (test) => {
  await using first = await oneByOne();
  for (const policy of EXPRESSIONS) {
    await test.step(policy, async () => {
      const eviction = { policy, budget: { tokens: 48 } };
      // Four are equal, four are not.
      const requests = Array.from(
        { length: 8 },
        (_, index) =>
          idsRequest(index < 4 ? someIds(70) : someIds(40 + 5 * index, index), { eviction }),
      );
      const { alone, together, batch } = await bothWays(first.scheduler, requests);
      assertEquals(together, alone);
      assert(batch > 1, `${batch} tokens in a step`);
    });
  }
});

Deno.test("chunks that were read behind an eviction are nobody else's beginning", async () => {
  const policies = ["streaming_llm", "knorm", "random"];
  const requests = [...policies, ...policies].map((inner) => {
    const policy = `while_reading(${inner},every=16,keep=24)`;
    return idsRequest(someIds(150), { eviction: { policy, budget: { tokens: 24 } } });
  });
  await using first = await oneByOne();
  const { alone, together } = await bothWays(first.scheduler, requests);
  assertEquals(together, alone);
  assertEquals(alone.slice(3), alone.slice(0, 3));
  assert(new Set(alone.map(String)).size === 3, "policies answer alike");
});

Deno.test("8 requests at once without eviction are answered as one after the other", async () => {
  await using first = await oneByOne();
  for (const same of [true, false]) {
    const requests = Array.from(
      { length: 8 },
      (_, index) =>
        idsRequest(someIds(same ? 300 : 200 + 20 * index, same ? 0 : index), { maxTokens: 60 }),
    );
    const { alone, together, batch } = await bothWays(first.scheduler, requests);
    assertEquals(together, alone);
    assert(batch > 1, `${batch} tokens in a step`);
  }
});

Deno.test("seeds repeat, answer i draws with seed + i, and usage counts the prompt once", async () => {
  await using test = await testScheduler();
  const drawn = (seed: number, choices = 1) =>
    outcomeOf(
      test.scheduler,
      idsRequest(someIds(40), { sampling: { temperature: 1.5, seed }, choices, maxTokens: 6 }),
    );
  const three = await drawn(7, 3);
  const [again, second] = [await drawn(7), await drawn(8)];
  assertEquals(three.answers[0], again.answers[0]);
  assertEquals(three.answers[1], second.answers[0]);
  assertEquals(new Set(three.answers.map(String)).size, 3);
  assertEquals(three.done.usage.promptTokens, 40);
  assertEquals(three.done.usage.completionTokens, 18);
});

Deno.test("a prompt that was read before is not read again, and answered the same", async () => {
  await using test = await testScheduler();
  const ids = someIds(400);
  const first = await outcomeOf(test.scheduler, idsRequest(ids));
  const second = await outcomeOf(test.scheduler, idsRequest(ids));
  assertEquals(second.done.usage.cachedTokens, 400);
  assertEquals(second.answers, first.answers);
  const longer = [...ids.slice(0, 300), ...someIds(60, 4)];
  const third = await outcomeOf(test.scheduler, idsRequest(longer));
  assertEquals(third.done.usage.cachedTokens, 256);
  await using fresh = await testScheduler();
  assertEquals(third.answers, (await outcomeOf(fresh.scheduler, idsRequest(longer))).answers);
  const { prefixQueries, prefixHits } = test.scheduler.stats();
  assertEquals([prefixQueries, prefixHits], [400 + 400 + 360, 400 + 256]);
});

Deno.test("memory for caches is bounded: what was used least recently is dropped", async () => {
  await using test = await testScheduler({ cacheMemory: 2 ** 21 });
  for (let seed = 0; seed < 6; seed++) {
    await outcomeOf(test.scheduler, idsRequest(someIds(300, seed)));
    const { cacheBytes } = test.scheduler.stats();
    assert(cacheBytes <= 2 ** 21, `${cacheBytes} bytes`);
  }
  const last = await outcomeOf(test.scheduler, idsRequest(someIds(300, 5)));
  assertEquals(last.done.usage.cachedTokens, 300);
  const first = await outcomeOf(test.scheduler, idsRequest(someIds(300, 0)));
  assertEquals(first.done.usage.cachedTokens, 0);
});

Deno.test("a request that is refused is so before 'accepted'", async () => {
  await using test = await testScheduler();
  const refused = (request: GenerationRequest) => outcomeOf(test.scheduler, request);
  await assertRejects(() => refused(idsRequest(someIds(512))), ContextOverflowError, "512 tokens");
  await assertRejects(
    () => refused(idsRequest([1], { model: "x" })),
    UnknownModelError,
    "use one of tiny",
  );
  await assertRejects(
    () => refused(idsRequest([1], { document: "doc-1" })),
    Error,
    "no document 'doc-1'",
  );
  await assertRejects(
    () => refused(idsRequest([3], { eviction: { policy: "snapvk", budget: 4 } })),
    Error,
    "snapkv",
  );
  await assertRejects(
    () => refused(idsRequest([3], { sampling: { temperature: -1, seed: 0 } })),
    Error,
    "'temperature' must be at least 0",
  );
});

Deno.test("a full queue refuses with the seconds until there may be room", async () => {
  await using test = await testScheduler({ parallel: 1, maxQueue: 1 });
  const running = Array.from(
    { length: 2 },
    (_, seed) => outcomeOf(test.scheduler, idsRequest(someIds(200, seed), { maxTokens: 100 })),
  );
  const third = test.scheduler.submit(idsRequest(someIds(20)));
  const error = await assertRejects(
    () => Array.fromAsync(third),
    OverloadedError,
    "1 wait already",
  );
  assert(error.retryAfter >= 1);
  await Promise.all(running);
  assertEquals(test.scheduler.stats().waiting, 0);
});

/** Leaves a request at its first event of a kind. */
async function leaveAt(scheduler: Scheduler, request: GenerationRequest, kind: string) {
  for await (const event of scheduler.submit(request)) if (event.kind === kind) return;
}

Deno.test("whoever leaves ends the request, wherever it is", async () => {
  await using test = await testScheduler({ parallel: 1 });
  const { scheduler } = test;
  const long = idsRequest(someIds(400), { maxTokens: 100 });
  const idle = async () => {
    while (scheduler.stats().running > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  for (const kind of ["accepted", "reading", "token"]) {
    const before = scheduler.stats();
    await leaveAt(scheduler, long, kind);
    await idle();
    const written = scheduler.stats().generationTokens - before.generationTokens;
    assertEquals(written, 0, kind);
  }
  const leaving = new AbortController();
  const first = outcomeOf(scheduler, long);
  const queued = outcomeOf(scheduler, { ...long, signal: leaving.signal });
  leaving.abort(new DOMException("left", "AbortError"));
  await assertRejects(() => queued, DOMException, "left");
  assertEquals((await first).answers[0]?.length, 100);
});

Deno.test("a request that takes too long ends with an error", async () => {
  await using test = await testScheduler();
  const slow = idsRequest(someIds(400), { maxTokens: 110, timeout: 1 });
  await assertRejects(() => outcomeOf(test.scheduler, slow), RequestTimeoutError, "0.001 seconds");
  assertEquals((await outcomeOf(test.scheduler, idsRequest(someIds(9)))).answers[0]?.length, 8);
});

Deno.test("close() lets requests end, and takes no more", async () => {
  const test = await testScheduler({ parallel: 1 });
  const running = outcomeOf(test.scheduler, idsRequest(someIds(40), { maxTokens: 30 }));
  const closing = test.scheduler.close();
  await assertRejects(() => outcomeOf(test.scheduler, idsRequest([3])), StoppingError);
  assertEquals((await running).answers[0]?.length, 30);
  await closing;
});

Deno.test("close({ now }) ends requests at once", async () => {
  const test = await testScheduler();
  const running = outcomeOf(test.scheduler, idsRequest(someIds(400), { maxTokens: 111 }));
  const refused = assertRejects(() => running, StoppingError);
  await test.scheduler.close({ now: AbortSignal.abort() });
  await refused;
});

Deno.test("a prompt is read without an answer where maxTokens is 0", async () => {
  await using test = await testScheduler();
  const { done, answers } = await outcomeOf(
    test.scheduler,
    idsRequest(someIds(9), { maxTokens: 0 }),
  );
  assertEquals([answers, done.usage.completionTokens], [[[]], 0]);
});

Deno.test("a context that is full ends an answer", async () => {
  await using test = await testScheduler();
  const { maxTokens: _, ...endless } = idsRequest(someIds(500));
  const { events, answers } = await outcomeOf(test.scheduler, endless);
  // The last token of an answer need not be read.
  assertEquals(answers[0]?.length, 13);
  assert(events.some((event) => event.kind === "end" && event.finishReason === "length"));
});
