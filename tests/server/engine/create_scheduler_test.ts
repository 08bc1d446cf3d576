import { fixture } from "../../_test_model.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createScheduler } from "../../../server/engine/create_scheduler.ts";
import { type EngineProcess, startEngineProcess } from "../../../server/engine/engine_process.ts";
import {
  ContextOverflowError,
  EngineError,
  OverloadedError,
  StoppingError,
} from "../../../server/scheduler/errors.ts";
import type { SchedulerOptions } from "../../../server/scheduler/options.ts";
import type { Scheduler } from "../../../server/scheduler/scheduler.ts";
import {
  idsRequest,
  outcomeOf,
  someIds,
  testOptions,
  testScheduler,
} from "../scheduler/_test_scheduler.ts";

interface Started extends AsyncDisposable {
  readonly scheduler: Scheduler;
  readonly processes: EngineProcess[];
  readonly logged: string[];
}

async function start(options: Partial<SchedulerOptions> = {}): Promise<Started> {
  const processes: EngineProcess[] = [];
  const logged: string[] = [];
  const scheduler = createScheduler(
    testOptions({ log: (text) => void logged.push(text), ...options }),
    {
      start(onReport) {
        const started = startEngineProcess(onReport);
        processes.push(started);
        return started;
      },
    },
  );
  await scheduler.ready;
  return { scheduler, processes, logged, [Symbol.asyncDispose]: () => scheduler.close() };
}

Deno.test("createScheduler() answers as a scheduler in this process does", async () => {
  await using test = await start();
  const { scheduler } = test;
  const ids = someIds(300);
  const request = idsRequest(ids, { choices: 2, sampling: { temperature: 1, seed: 3 } });
  const outcome = await outcomeOf(scheduler, request);
  await using here = await testScheduler();
  const expected = await outcomeOf(here.scheduler, request);
  assertEquals(outcome.answers, expected.answers);
  assertEquals(outcome.done.usage, expected.done.usage);
  const [model] = scheduler.models();
  assertEquals([model?.loaded, model?.facts?.context], [true, 512]);
  assertEquals(scheduler.stats().generationTokens, 16);
  assertEquals(await scheduler.detokenize(undefined, [5]), "");
});

Deno.test("errors keep their classes on the way out of the engine's process", async () => {
  await using test = await start({ parallel: 1, maxQueue: 0 });
  const { scheduler } = test;
  const overflow = await assertRejects(
    () => outcomeOf(scheduler, idsRequest(someIds(600))),
    ContextOverflowError,
  );
  assertEquals([overflow.promptTokens, overflow.context], [600, 512]);
  const running = outcomeOf(scheduler, idsRequest(someIds(300), { maxTokens: 100 }));
  const overloaded = await assertRejects(
    () => outcomeOf(scheduler, idsRequest(someIds(9))),
    OverloadedError,
  );
  assert(overloaded.retryAfter >= 1);
  await running;
  await assertRejects(
    () => scheduler.tokenize(undefined, "text"),
    Error,
    "tokenizer",
  );
});

Deno.test("a request that is cancelled ends at once here, and soon there", async () => {
  await using test = await start();
  const { scheduler } = test;
  const leaving = new AbortController();
  const request = idsRequest(someIds(300), { maxTokens: 200, signal: leaving.signal });
  await assertRejects(
    async () => {
      for await (const { kind } of scheduler.submit(request)) {
        if (kind === "token") leaving.abort(new DOMException("left", "AbortError"));
      }
    },
    DOMException,
    "left",
  );
  while (scheduler.stats().running > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(scheduler.stats().generationTokens, 0);
});

Deno.test("an engine that dies fails what it was asked for, and is started again", async () => {
  await using test = await start();
  const { scheduler, processes, logged } = test;
  const request = idsRequest(someIds(300), { maxTokens: 200 });
  await assertRejects(
    async () => {
      for await (const { kind } of scheduler.submit(request)) {
        if (kind === "accepted") processes[0]?.kill();
      }
    },
    EngineError,
    "SIGKILL",
  );
  assertEquals((await outcomeOf(scheduler, idsRequest(someIds(9)))).answers[0]?.length, 8);
  assertEquals(processes.length, 2);
  assert(logged.some((text) => text.includes("SIGKILL")));
});

Deno.test("an engine that dies again and again is given up", async () => {
  let started = 0;
  const scheduler = createScheduler(testOptions(), {
    start: () => ({
      send() {},
      kill() {},
      pid: ++started,
      ended: Promise.resolve(new EngineError("It ended")),
    }),
  });
  await assertRejects(() => scheduler.ready, EngineError, "It ended");
  assertEquals(started, 3);
  await assertRejects(() => outcomeOf(scheduler, idsRequest([3])), EngineError);
  await scheduler.close();
});

Deno.test("ready rejects where the model cannot be loaded", async () => {
  const scheduler = createScheduler(
    testOptions({ models: [{ id: "none", source: "/nowhere/none.gguf" }] }),
  );
  await assertRejects(() => scheduler.ready, Error, "Cannot load the model 'none'");
  await scheduler.close();
});

Deno.test("close() lets requests end first, close({ now }) does not", async () => {
  const test = await start();
  const running = outcomeOf(test.scheduler, idsRequest(someIds(40), { maxTokens: 50 }));
  const closing = test.scheduler.close();
  await assertRejects(() => outcomeOf(test.scheduler, idsRequest([3])), StoppingError);
  assertEquals((await running).answers[0]?.length, 50);
  await closing;
  const other = await start();
  const cut = outcomeOf(other.scheduler, idsRequest(someIds(300), { maxTokens: 200 }));
  const refused = assertRejects(() => cut, StoppingError);
  await other.scheduler.close({ now: AbortSignal.abort() });
  await refused;
});

/** A tiny model whose tokens are bytes. */
async function writeBytesModel(folder: string): Promise<void> {
  for (const name of ["config.json", "model.safetensors"]) {
    await Deno.copyFile(`${fixture("tiny-qwen3")}/${name}`, `${folder}/${name}`);
  }
  const vocab: Record<string, number> = {};
  for (let byte = 0x21; byte < 0x7f; byte++) vocab[String.fromCharCode(byte)] = byte;
  vocab["\u0120"] = 32;
  const byteLevel = { type: "ByteLevel", add_prefix_space: false };
  const tokenizer = {
    model: { type: "BPE", vocab, merges: [] },
    pre_tokenizer: byteLevel,
    decoder: byteLevel,
    added_tokens: [],
  };
  await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify(tokenizer));
  await Deno.writeTextFile(`${folder}/tokenizer_config.json`, "{}");
}

Deno.test("documents are whole or absent whenever the engine is killed, and found again", async () => {
  const folder = await Deno.makeTempDir();
  await writeBytesModel(folder);
  const cacheFolder = `${folder}/documents`;
  await using test = await start({ cacheFolder, models: [{ id: "bytes", source: folder }] });
  const { scheduler, processes } = test;
  const eviction = { policy: "snapkv(window=8)", budget: { tokens: 32 } } as const;
  const read = (text: string) =>
    scheduler.documents.create({ text: text.repeat(8), form: "text", eviction });
  const ids = new Set<string>();
  for (const [round, wait] of [5, 20, 40, 80, 160].entries()) {
    const made = await read(`kept in round ${round}, `);
    ids.add(made.id);
    const lost = read(`lost in round ${round}, `);
    const settled = Promise.allSettled([lost]);
    await new Promise((resolve) => setTimeout(resolve, wait));
    const running = processes.at(-1);
    running?.kill();
    await running?.ended;
    const [result] = await settled;
    if (result?.status === "fulfilled") ids.add(result.value.id);
    // A new engine answers about every document that had been read.
    for (const { id } of scheduler.documents.list()) ids.add(id);
    const request = idsRequest([], { document: made.id, maxTokens: 3 });
    const { done } = await outcomeOf(scheduler, {
      ...request,
      prompt: { kind: "text", text: " and?" },
    });
    assertEquals(done.usage.cachedTokens, made.tokens);
    const listed = new Set(scheduler.documents.list().map(({ id }) => id));
    for (const id of ids) assert(listed.has(id), `round ${round}: ${id} is gone`);
    const names = (await Array.fromAsync(Deno.readDir(cacheFolder))).map(({ name }) => name).sort();
    const whole = [...listed].flatMap((id) => [`${id}.json`, `${id}.kvcache`]).sort();
    assertEquals(names, whole);
  }
  await Deno.remove(folder, { recursive: true });
});
