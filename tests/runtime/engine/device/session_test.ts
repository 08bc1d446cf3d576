import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  adaKv,
  h2o,
  rerotate,
  snapKv,
  whileDecoding,
  whileReading,
} from "../../../../policies/mod.ts";
import { DeviceError, PromptError } from "../../../../runtime/errors.ts";
import type { Session } from "../../../../runtime/session/session.ts";
import { type TwinModel, twinModel } from "../../../_device_model.ts";
import { randomIds } from "../../../_test_model.ts";

const policy = snapKv({ window: 4, kernel: 3 });

async function generated(session: Session, maxTokens = 5): Promise<readonly number[]> {
  const generation = session.generate({ maxTokens });
  for await (const _ of generation);
  return [...generation.ids];
}

/** What both homes give. */
async function both<T>(
  twin: TwinModel,
  options: Parameters<TwinModel["session"]>[0],
  work: (session: Session) => Promise<T>,
): Promise<{ readonly here: T; readonly there: T }> {
  await using host = twin.host.model.session(options);
  await using device = twin.session(options);
  return { here: await work(host), there: await work(device) };
}

Deno.test("on a device, a session goes on, is marked, rolled back and forked as in main memory", async () => {
  await using twin = await twinModel("tiny-llama31");
  const { vocabulary } = twin.host.model.config;
  const [first, second] = [randomIds(40, vocabulary, 1), randomIds(15, vocabulary, 2)];
  const { here, there } = await both(twin, { policy, budget: 14 }, async (session) => {
    await session.read({ ids: first });
    using mark = await session.mark();
    const answer = await generated(session);
    const { kept } = await session.append({ ids: second });
    const more = await generated(session);
    await using fork = await session.fork();
    const forked = await generated(fork, 3);
    await session.rollback(mark);
    return { answer, kept, more, forked, again: await generated(session) };
  });
  assertEquals(there, here);
  assertEquals(there.again, there.answer);
});

Deno.test("on a device, evicting while reading, writing and beyond the context goes as in main memory", async () => {
  await using twin = await twinModel("tiny-qwen3", { context: 80 });
  const { vocabulary, context } = twin.host.model.config;
  assertEquals(context, 80);
  const ids = randomIds(60, vocabulary, 3);
  for (
    const one of [
      whileDecoding({ inner: h2o({ recent: 2 }), every: 4 }),
      rerotate({ inner: policy }),
      whileReading({ inner: h2o({ recent: 2 }), every: 8, keep: 20 }),
      whileReading({ inner: adaKv({ inner: policy }), every: 10, keep: 24 }),
    ]
  ) {
    const options = { policy: one, budget: 12 };
    const { here, there } = await both(twin, options, async (session) => {
      await session.read({ ids });
      return { answer: await generated(session, 12), held: session.stats().held };
    });
    assertEquals(there, here, one.name);
  }
  // Pieces of a text that does not fit are read one by one; keys are rotated on to make room.
  const long = Array.from({ length: context + 40 }, (_, index) => 2 + (index * 7) % 90);
  const { here, there } = await both(twin, { policy, budget: 12 }, async (session) => {
    await session.read({ ids: long }, { inPieces: true });
    return { answer: await generated(session, 4), rerotations: session.stats().rerotations };
  });
  assertEquals(there, here);
});

Deno.test("on a device, what tokens have received stays there, and goes with what holds it", async () => {
  await using twin = await twinModel("tiny-llama31");
  const { device } = twin.there;
  const { vocabulary } = twin.host.model.config;
  const [first, second] = [randomIds(40, vocabulary, 1), randomIds(9, vocabulary, 2)];
  const folder = await Deno.makeTempDir();
  const path = `${folder}/received.safetensors`;
  const policy = whileDecoding({ inner: h2o({ recent: 2 }), every: 3 });
  const options = { policy, budget: 14 };
  let back = 0;
  const work = async (session: Session) => {
    await session.read({ ids: first });
    using mark = await session.mark();
    const answer = await generated(session, 10);
    using _later = await session.mark();
    await session.append({ ids: second });
    await using fork = await session.fork();
    const forked = await generated(fork, 7);
    await session.rollback(mark);
    const [again, held, brought] = [await generated(session, 10), session.stats().held, back];
    // A file is what numbers come back for.
    await session.save(path);
    await using loaded = await session.fork();
    await loaded.load(path);
    return { answer, forked, again, held, brought, loaded: await generated(loaded, 6) };
  };
  const worked = async () => {
    await using session = twin.session(options);
    return await work(session);
  };
  try {
    // What is made once stays.
    await worked();
    const { tensors } = device.usage;
    device.onCrossing = ({ kernel, bytes }) => {
      if (/^(read|write)_rows$/.test(kernel)) back += bytes;
    };
    const { brought, ...there } = await worked();
    device.onCrossing = undefined;
    assertEquals(device.usage.tensors, tensors, "all was freed");
    await using host = twin.host.model.session(options);
    const { brought: _, ...here } = await work(host);
    assertEquals(there, here);
    assertEquals([brought, there.again], [0, there.answer]);
    assert(back > 0, "a file brings them");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a cache that was saved on a device is loaded in main memory, and the other way round", async () => {
  await using twin = await twinModel("tiny-mistral");
  const ids = randomIds(40, twin.host.model.config.vocabulary, 4);
  const folder = await Deno.makeTempDir();
  try {
    const options = { policy, budget: 14 };
    const answers: (readonly number[])[] = [];
    for (const [from, to] of [["there", "here"], ["here", "there"]] as const) {
      const open = (home: "here" | "there") =>
        home === "there" ? twin.session(options) : twin.host.model.session(options);
      const path = `${folder}/${from}.safetensors`;
      await using saved = open(from);
      await saved.read({ ids });
      await saved.save(path);
      await using loaded = open(to);
      await loaded.load(path);
      answers.push(await generated(saved), await generated(loaded));
    }
    for (const answer of answers) assertEquals(answer, answers[0]);
    // A file in few bits is loaded on a device too, where a session holds none by itself.
    const narrow = { ...options, cachePrecision: "int8" } as const;
    assertThrows(() => twin.session(narrow), PromptError, "in int8 on a device");
    const path = `${folder}/narrow.safetensors`;
    await using saved = twin.host.model.session(narrow);
    await saved.read({ ids });
    await saved.save(path);
    await using loaded = twin.session(options);
    await loaded.load(path);
    assertEquals(await generated(loaded), await generated(saved));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("on a device, prompts are read in chunks that its buffers can hold", async () => {
  // Logits of 4 heads, 60 slots and a quarter: room for some ten tokens at a time.
  await using small = await twinModel("tiny-llama", { maxBufferBytes: 16_000 });
  const { engine } = small.there;
  const most = engine.maxStepTokens(60);
  const { heads, vocabulary } = engine.config;
  assert(most >= 1 && most * 1.25 * (60 + most) * heads * 4 <= 16_000, `${most}`);
  const ids = randomIds(60, vocabulary, 5);
  const { here, there } = await both(small, { policy, budget: 14 }, async (session) => {
    const { kept } = await session.read({ ids });
    return { kept, answer: await generated(session) };
  });
  assertEquals(there, here);
});

Deno.test("on a device, a prompt with more than a buffer holds is refused before it is read", async () => {
  // Keys of 2 heads of 16 floats: 128 bytes a token.
  await using small = await twinModel("tiny-llama", { maxBufferBytes: 6_400 });
  await using session = small.session({ policy, budget: 14 });
  await assertRejects(
    () => session.read({ ids: randomIds(51, small.there.engine.config.vocabulary, 5) }),
    DeviceError,
    "largest buffer is 6400, enough for 50 tokens; give a shorter text, or set 'device' to cpu",
  );
});
