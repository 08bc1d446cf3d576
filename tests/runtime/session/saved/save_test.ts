import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { full } from "../../../../policies/full.ts";
import { knorm } from "../../../../policies/knorm.ts";
import type { Policy } from "../../../../policies/policy.ts";
import { pyramidKv } from "../../../../policies/pyramidkv.ts";
import { snapKv } from "../../../../policies/snapkv.ts";
import { readSafetensors, writeSafetensors } from "../../../../runtime/checkpoint/safetensors.ts";
import { readTensor, type SafetensorsInput } from "../../../../runtime/checkpoint/safetensors.ts";
import { bytesPerToken } from "../../../../runtime/cache/bytes_per_token.ts";
import { PromptError, SavedCacheError, StorageError } from "../../../../runtime/errors.ts";
import { readSavedCacheInfo } from "../../../../runtime/session/saved/file.ts";
import type { Session } from "../../../../runtime/session/session.ts";
import { testFolder } from "../../../commands/_run_cli.ts";
import { collectedMemory } from "../../../_held_memory.ts";
import { fixture, randomIds, tinyModel } from "../../../_test_model.ts";
import { chatModel, whole } from "../_chat.ts";

const IDS = randomIds(90, 320);

const answer = async (session: Session, maxTokens = 10) =>
  (await whole(session.generate({ maxTokens }))).ids;

const POLICIES: readonly [string, () => Policy][] = [
  ["full", full],
  ["knorm", knorm],
  ["snapkv", () => snapKv({ window: 4 })],
  ["pyramidkv", () => pyramidKv({ window: 4 })],
];

for (const [name, policy] of POLICIES) {
  Deno.test(`pitfall 16, save state: a saved cache of ${name} continues like one never saved`, async () => {
    using folder = testFolder();
    const path = `${folder.path}/a.cache`;
    await using tiny = await tinyModel("tiny-qwen3");
    await using session = tiny.model.session({ policy: policy(), budget: 20 });
    await session.read({ ids: IDS.slice(0, 60) });
    for (const [begun, more] of [[0, 30], [7, 25], [1, 9]] as const) {
      if (begun > 0) await answer(session, begun);
      const saved = await session.save(path);
      await using loaded = tiny.model.session({ policy: policy(), budget: 20 });
      assertEquals(await loaded.load(path), { ...saved, path });
      assertEquals(loaded.ids, session.ids);
      assertEquals(loaded.stats().held, session.stats().held);
      assertEquals(loaded.stats().prefilled, 0);
      await using aside = await loaded.fork();
      assertEquals(await answer(aside), await answer(await session.fork()));
      for (const each of [loaded, session]) {
        await each.append({ ids: IDS.slice(60, 60 + more) });
      }
      assertEquals(loaded.stats().kept, session.stats().kept);
      assertEquals(await answer(loaded), await answer(session));
      // Both files hold the same, to the last byte.
      await session.save(path);
      await loaded.save(`${path}2`);
      const [one, two] = [readSafetensors(path), readSafetensors(`${path}2`)];
      assertEquals(one.metadata.sha256, two.metadata.sha256);
    }
  });
}

Deno.test("session.load() takes up a conversation, or a document with its question to come", async () => {
  using folder = testFolder();
  const path = `${folder.path}/a.cache`;
  await using test = await chatModel();
  const options = { policy: knorm(), budget: 32 };
  await using session = test.model.session(options);
  await session.read({ document: "Mill Lane has twelve houses.", system: "Count." });
  await session.save(path);
  await using loaded = test.model.session(options);
  await loaded.load(path);
  const question = { messages: [{ role: "user", content: "How many?" }] };
  assertEquals(
    (await whole(loaded.ask("How many?", { maxTokens: 6 }))).ids,
    (await whole(session.ask("How many?", { maxTokens: 6 }))).ids,
  );
  for (const each of [session, loaded]) await each.append(question);
  await whole(session.generate({ maxTokens: 5 }));
  await session.save(path);
  await loaded.load(path);
  for (const each of [session, loaded]) await each.append(question);
  assertEquals(loaded.ids, session.ids);
  assertEquals(await answer(loaded), await answer(session));
});

Deno.test("session.save() writes little more than the kept bytes, and tells what it wrote", async () => {
  using folder = testFolder();
  const path = `${folder.path}/a.cache`;
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: snapKv({ window: 4 }), budget: 60 });
  await session.read({ ids: IDS });
  const { bytes, tokens, kept, precision, record } = await session.save(path);
  const keptBytes = 60 * bytesPerToken(tiny.model.config);
  const logits = 320 * 4;
  assertEquals(bytes, Deno.statSync(path).size);
  assert(bytes > keptBytes && bytes < keptBytes + logits + 4 * tokens + 4000, `${bytes}`);
  assertEquals([tokens, kept], [90, session.stats().kept]);
  assertEquals(record.policy, {
    name: "snapkv",
    options: { window: 4, kernel: 7, pooling: "max" },
    budget: 60,
    evicted: true,
    judgedByQueries: true,
  });
  assertEquals(record.model.fingerprint, await tiny.model.fingerprint());
  assertEquals(readSavedCacheInfo(path), { bytes, tokens, kept, precision, record, path });
});

Deno.test("session.load() keeps what evicted for the notes and for the next save", async () => {
  using folder = testFolder();
  const path = `${folder.path}/a.cache`;
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: snapKv({ window: 4 }), budget: 20 });
  await session.read({ ids: IDS });
  await session.save(path);
  await using other = tiny.model.session({ policy: full() });
  await other.load(path);
  assertEquals(other.stats().policy, "full");
  await other.append({ ids: [5, 6, 7] });
  assertEquals(other.stats().held, [23, 23, 23]);
  assertEquals((await other.save(path)).record.policy.name, "snapkv");
});

Deno.test("session.save() refuses an empty session and a place that cannot be written", async () => {
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: full() });
  await assertRejects(
    () => session.save("/nowhere/a"),
    PromptError,
    "Cannot save: nothing was read",
  );
  await session.read({ ids: IDS });
  const error = await assertRejects(() => session.save("/nowhere/a"), StorageError);
  assertEquals(error.message, "Cannot write /nowhere/a: its folder does not exist; make it first");
});

Deno.test("session.load() refuses another model's cache and keeps what was read", async () => {
  using folder = testFolder();
  const path = `${folder.path}/a.cache`;
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: full() });
  await session.read({ ids: IDS });
  await session.save(path);
  await using other = await tinyModel("tiny-qwen3");
  await using stranger = other.model.session({ policy: full() });
  await stranger.read({ ids: [4, 5] });
  await assertRejects(
    () => stranger.load(path),
    SavedCacheError,
    `it was saved with the model ${fixture("tiny-llama")}`,
  );
  assertEquals(stranger.ids, [4, 5]);
  for (const wrong of [`${folder.path}/none`, folder.path]) {
    await assertRejects(() => stranger.load(wrong), SavedCacheError, wrong);
  }
  const foreign = fixture("tiny-llama/model.safetensors");
  await assertRejects(() => stranger.load(foreign), SavedCacheError, "it is no saved cache");
});

Deno.test("session.load() refuses every truncated file and every flipped bit", async () => {
  using folder = testFolder();
  const path = `${folder.path}/a.cache`;
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: knorm(), budget: 3 });
  await session.read({ ids: IDS.slice(0, 12) });
  await session.save(path);
  const whole = await Deno.readFile(path);
  const bad = `${folder.path}/bad.cache`;
  const refuse = async (bytes: Uint8Array, what: string) => {
    await Deno.writeFile(bad, bytes);
    const error = await session.load(bad).then(() => undefined, (error: unknown) => error);
    assertInstanceOf(error, SavedCacheError, what);
    assert(!error.message.includes("\n"));
  };
  for (let length = 0; length < whole.length; length += 97) {
    await refuse(whole.slice(0, length), `the first ${length} bytes`);
  }
  await refuse(whole.slice(0, -1), "all but the last byte");
  let accepted = 0;
  for (let bit = 5; bit < 8 * whole.length; bit += 611) {
    const flipped = whole.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    await Deno.writeFile(bad, flipped);
    const error = await session.load(bad).then(() => undefined, (error: unknown) => error);
    if (error === undefined) accepted++;
    else assertInstanceOf(error, SavedCacheError, `bit ${bit}`);
  }
  // A blank of the header may become another blank, which changes nothing.
  assert(accepted <= 1, `${accepted}`);
  assertEquals(session.ids, IDS.slice(0, 12));
});

/** Counts buffers that are given back, until it is disposed of. */
function countReleases(): Disposable & { readonly count: number } {
  const { transferToFixedLength } = ArrayBuffer.prototype;
  let count = 0;
  ArrayBuffer.prototype.transferToFixedLength = function (size) {
    count++;
    return transferToFixedLength.call(this, size);
  };
  return {
    get count() {
      return count;
    },
    [Symbol.dispose]() {
      ArrayBuffer.prototype.transferToFixedLength = transferToFixedLength;
    },
  };
}

Deno.test("session.load() refuses whole files that say what cannot be", async () => {
  using folder = testFolder();
  const path = `${folder.path}/a.cache`;
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: knorm(), budget: 4 });
  await session.read({ ids: IDS.slice(0, 12) });
  await session.save(path);
  const header = readSafetensors(path);
  const tensors: Record<string, SafetensorsInput> = {};
  for (const name of header.tensors.keys()) tensors[name] = readTensor(path, name, header);
  const record = JSON.parse(header.metadata.record ?? "");
  const edits: [
    string,
    (edit: { tensors: typeof tensors; metadata: Record<string, string> }) => void,
  ][] = [
    ["version", ({ metadata }) => metadata.version = "2"],
    ["record", ({ metadata }) => metadata.record = "{"],
    ["record", ({ metadata }) => metadata.record = "[".repeat(100_000)],
    ["record", ({ metadata }) => metadata.record = "[]"],
    ...[
      { planned: 1e300 },
      { tail: 5 },
      { pending: [1] },
      { pending: [4000] },
      { pending: "x" },
      { told: { kind: "chat", messages: [{ role: 1 }], open: false } },
      { told: { kind: "else" } },
      { answer: 5 },
      { policy: { ...record.policy, budget: -1 } },
      { policy: null },
      { policy: { ...record.policy, name: "\x1b[2J" } },
      { model: {} },
    ].map((change): [string, (edit: { metadata: Record<string, string> }) => void] => [
      "",
      ({ metadata }) => metadata.record = JSON.stringify({ ...record, ...change }),
    ]),
    ["nothing else", (edit) => delete edit.tensors.ids],
    ["nothing else", (edit) => edit.tensors.more = { shape: [1], data: new Float32Array(1) }],
    ["nothing else", (edit) => delete edit.tensors["keys.2"]],
    ["sizes of the model", (edit) => {
      for (const kind of ["keys", "values", "positions"]) delete edit.tensors[`${kind}.2`];
    }],
    ["logits", (edit) => delete edit.tensors.logits],
    ["missing", (edit) => edit.tensors.ids = { shape: [12], data: new Float32Array(12) }],
    [
      "model does not know",
      (edit) => edit.tensors.ids = { shape: [12], data: new Int32Array(12).fill(9999) },
    ],
    [
      "out of order",
      (edit) => edit.tensors["positions.1"] = { shape: [2, 4], data: new Int32Array(8) },
    ],
    [
      "not finite",
      (edit) =>
        edit.tensors["values.1"] = { shape: [4, 2, 16], data: new Float32Array(128).fill(NaN) },
    ],
    [
      "fit together",
      (edit) => edit.tensors["values.1"] = { shape: [2, 2, 16], data: new Float32Array(64) },
    ],
    ...[{ sizes: [16, 15, 16], sum: 1 }, { sizes: [16, 16, 16], sum: NaN }].map((
      { sizes, sum },
    ): [string, (edit: { tensors: typeof tensors }) => void] => [
      "the attention of its layer",
      (edit) => {
        for (const [layer, size] of sizes.entries()) {
          const data = new Float32Array(size).fill(sum);
          edit.tensors[`received.${layer}`] = { shape: [data.length], data };
        }
      },
    ]),
    [
      "wrong type",
      (edit) => {
        edit.tensors["tokens.0"] = { shape: [2, 12], data: new Int32Array(24).fill(-1) };
        edit.tensors["tokens.1"] = { shape: [2, 12], data: new Float32Array(24) };
      },
    ],
    [
      "wrong type",
      (edit) =>
        edit.tensors["received.1"] = edit.tensors["received.0"] = {
          shape: [1, 1],
          data: new Float32Array(1),
        },
    ],
    [
      "damaged",
      (edit) => edit.tensors["values.1"] = { shape: [4, 2, 16], data: new Float32Array(128) },
    ],
  ];
  for (const [message, change] of edits) {
    const edit = { tensors: { ...tensors }, metadata: { ...header.metadata } };
    change(edit);
    const bad = `${folder.path}/bad.cache`;
    await writeSafetensors(bad, edit.tensors, edit.metadata);
    using released = countReleases();
    await assertRejects(() => session.load(bad), SavedCacheError, message);
    // What fails behind the entries frees them: keys, values and positions of each layer.
    const behind = ["wrong type", "the attention of its layer", "damaged"].includes(message);
    assert(!behind || released.count >= 3 * 3, `${message}: ${released.count} buffers were freed`);
  }
  assertThrows(() => readSavedCacheInfo(`${path}.none`), SavedCacheError, "does not exist");
  await session.load(path);
});

Deno.test("session.save() that is killed leaves the old file or the new one, never a part", async () => {
  using folder = testFolder();
  const path = `${folder.path}/a.cache`;
  const script = `${import.meta.dirname}/_save_for_ever.ts`;
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: full() });
  for (let round = 0; round < 4; round++) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", script, fixture("tiny-llama"), path],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = child.stdout.getReader();
    // It has begun to save, again and again.
    await reader.read();
    await new Promise((resolve) => setTimeout(resolve, 23 + 41 * round));
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
    await session.load(path);
    assertEquals(session.ids.length, 400);
  }
  // What killed processes left beside it goes away with the next save.
  await session.save(path);
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["a.cache"]);
});

Deno.test("pitfall 20, memory: 50 generations and 50 rounds of saving and loading do not add up", async () => {
  using folder = testFolder();
  const path = `${folder.path}/a.cache`;
  await using test = await chatModel();
  await using session = test.model.session({ policy: knorm(), budget: 40 });
  await session.read({ document: "Mill Lane has twelve houses and an inn. ".repeat(9) });
  const allocated: number[] = [];
  const resident: number[] = [];
  for (let round = 0; round < 50; round++) {
    await whole(session.ask("How many houses?", { maxTokens: 4 }));
    await session.save(path);
    await session.load(path);
    await using fork = await session.fork();
    await fork.append({ messages: [{ role: "user", content: "How many inns?" }] });
    await answer(fork, 4);
    allocated.push(session.stats().bytes.now);
    if (round === 9 || round === 49) resident.push(await collectedMemory());
  }
  const [first = 0, last = 0] = resident;
  console.log(
    `allocated ${allocated[0]} to ${allocated[49]} bytes, RSS ${
      first >> 20
    } MiB after 10 rounds, ` +
      `${last >> 20} MiB after 50`,
  );
  assertEquals(new Set(allocated).size, 1);
  assert(last - first < 48 * 2 ** 20, `${(last - first) >> 20} MiB more`);
});
