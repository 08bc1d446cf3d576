import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { openDocumentFiles } from "../../../server/documents/document_files.ts";
import { UnknownDocumentError } from "../../../server/scheduler/errors.ts";
import type { GenerationRequest } from "../../../server/scheduler/request.ts";
import type { Scheduler } from "../../../server/scheduler/scheduler.ts";
import { withFolder } from "../../_temp_folder.ts";
import { idsRequest, outcomeOf, someIds, testScheduler } from "../scheduler/_test_scheduler.ts";

const EVICTION = { policy: "snapkv(window=8)", budget: { tokens: 64 } } as const;
const TEXT = someIds(300, 2).join(" ");

/** A question about a document, as a chat. */
function question(document: string, seed: number): GenerationRequest {
  const { prompt: _, ...request } = idsRequest([]);
  const content = [...someIds(8, seed), 3 + seed].join(" ");
  return { ...request, document, prompt: { kind: "chat", messages: [{ role: "user", content }] } };
}

// Heads of the first keep equally many tokens, those of the second share what a layer keeps.
for (const name of ["snapkv", "judge_q"]) {
  const eviction = { ...EVICTION, policy: `${name}(window=8)` };

  Deno.test(`ten questions about a document cost one reading, and what ${name} keeps is small`, async () => {
    await using test = await testScheduler();
    const { scheduler } = test;
    const { documents } = scheduler;
    const made = await documents.create({ text: TEXT, name: "report", eviction });
    assertEquals([made.tokens, made.kept, made.policy, made.stored], [300, 64, name, false]);
    assert(made.bytesAfter < made.bytesBefore / 3);
    const { promptTokens } = scheduler.stats();
    const answers = new Set<string>();
    for (let seed = 0; seed < 10; seed++) {
      const { done, answers: [ids] } = await outcomeOf(scheduler, question(made.id, seed));
      assertEquals(done.usage.cachedTokens, 300);
      assertEquals(done.usage.promptTokens, 309);
      assertEquals(done.kvjudge.policy, name);
      answers.add(String(ids));
    }
    assert(answers.size > 1);
    assertEquals(scheduler.stats().promptTokens - promptTokens, 3090);
    assertEquals(documents.list().map(({ id, name }) => [id, name]), [[made.id, "report"]]);
    assertEquals(documents.get(made.id).tokens, 300);
  });

  Deno.test(`what ${name} kept of a document is known, token by token`, async () => {
    const cacheFolder = await Deno.makeTempDir();
    let id = "";
    let before: readonly { readonly text: string; readonly kept: number }[] = [];
    {
      await using test = await testScheduler({ cacheFolder });
      const { documents } = test.scheduler;
      id = (await documents.create({ text: TEXT, eviction })).id;
      before = await documents.tokens(id);
      assertEquals(before.map(({ text }) => text.trim()).join(" "), TEXT);
      const kept = before.reduce((sum, token) => sum + token.kept, 0);
      assert(Math.abs(kept - 64) < 1, `${kept} tokens`);
      // The window that judged is always kept, by all.
      assertEquals(before.slice(-8).map((token) => token.kept), new Array(8).fill(1));
      const whole = await documents.create({ text: TEXT, eviction: false });
      assertEquals((await documents.tokens(whole.id)).every((token) => token.kept === 1), true);
      await assertRejects(() => documents.tokens("doc-1"), UnknownDocumentError);
      // Tokens that went while the rest was still read are none of those that were kept.
      const policy = "while_reading(knorm,every=100,keep=100)";
      const pieces = await documents.create({ text: TEXT, eviction: { ...eviction, policy } });
      const left = (await documents.tokens(pieces.id)).reduce((sum, token) => sum + token.kept, 0);
      assert(Math.abs(left - 64) < 1, `${left} tokens`);
    }
    await using test = await testScheduler({ cacheFolder });
    assertEquals(await test.scheduler.documents.tokens(id), before);
    await Deno.remove(cacheFolder, { recursive: true });
  });
}

Deno.test("a question's times are its own, not those of the document's reading", async () => {
  let clock = 0;
  await using test = await testScheduler({ now: () => clock });
  const { scheduler } = test;
  const ticking = setInterval(() => clock += 10, 0);
  const made = await scheduler.documents.create({ text: TEXT, eviction: EVICTION });
  clearInterval(ticking);
  assert(clock > 0);
  const { done } = await outcomeOf(scheduler, question(made.id, 1));
  const { prefill, evidence, selection, compaction } = done.kvjudge.times;
  assertEquals([prefill, evidence, selection, compaction], [0, 0, 0, 0]);
});

Deno.test("the same document is read once, read another way it is another one", async () => {
  await using test = await testScheduler();
  const { documents } = test.scheduler;
  const [first, second] = await Promise.all([
    documents.create({ text: TEXT, eviction: EVICTION }),
    documents.create({ text: TEXT, eviction: EVICTION }),
  ]);
  assertEquals(first.id, second.id);
  assertEquals(test.scheduler.stats().promptTokens, 300);
  const other = await documents.create({
    text: TEXT,
    eviction: { ...EVICTION, budget: { tokens: 32 } },
  });
  assert(other.id !== first.id);
  assertEquals(other.kept, 32);
});

Deno.test("questions asked at once are answered as one after the other", async () => {
  await using test = await testScheduler();
  const { scheduler } = test;
  const { id } = await scheduler.documents.create({ text: TEXT, eviction: EVICTION });
  const requests = Array.from({ length: 8 }, (_, seed) => question(id, seed));
  const together = await Promise.all(requests.map((one) => outcomeOf(scheduler, one)));
  for (const [index, request] of requests.entries()) {
    assertEquals((await outcomeOf(scheduler, request)).answers, together[index]?.answers);
  }
});

Deno.test("documents are found again after a restart, and answer the same", async () => {
  const cacheFolder = await Deno.makeTempDir();
  let id = "";
  let before: readonly (readonly number[])[] = [];
  {
    await using test = await testScheduler({ cacheFolder });
    const made = await test.scheduler.documents.create({ text: TEXT, eviction: EVICTION });
    assertEquals(made.stored, true);
    id = made.id;
    before = (await outcomeOf(test.scheduler, question(id, 1))).answers;
  }
  // What a process leaves that is killed while it writes.
  const half = `doc-${"0".repeat(32)}.kvcache`;
  await Deno.writeTextFile(`${cacheFolder}/${half}`, "half");
  await Deno.writeTextFile(`${cacheFolder}/${half}.1-abc.tmp`, "half");
  await Deno.writeTextFile(`${cacheFolder}/notes.txt`, "somebody else's");
  await using test = await testScheduler({ cacheFolder });
  const { scheduler } = test;
  assertEquals(scheduler.documents.list().map((one) => one.id), [id]);
  const names = (await Array.fromAsync(Deno.readDir(cacheFolder))).map(({ name }) => name).sort();
  assertEquals(names, [`${id}.json`, `${id}.kvcache`, "notes.txt"]);
  assertEquals((await outcomeOf(scheduler, question(id, 1))).answers, before);
  assertEquals(scheduler.stats().promptTokens, 309);
  await scheduler.documents.remove(id);
  assertEquals(scheduler.documents.list(), []);
  assertThrows(() => scheduler.documents.get(id), UnknownDocumentError, id);
  await assertRejects(() => scheduler.documents.remove(id), UnknownDocumentError);
  await assertRejects(() => outcomeOf(scheduler, question(id, 1)), UnknownDocumentError);
  await Deno.remove(cacheFolder, { recursive: true });
});

Deno.test("documents at rest in 16 and 8 bits take less memory and disk, and answer alike", async () => {
  const taken: { memory: number; disk: number; after: number }[] = [];
  for (const cachePrecision of ["fp32", "fp16", "int8"] as const) {
    await withFolder(async (cacheFolder) => {
      const answersOf = async (scheduler: Scheduler, id: string) => {
        const answers = [];
        for (const seed of [1, 2]) {
          answers.push((await outcomeOf(scheduler, question(id, seed))).answers);
        }
        return answers;
      };
      let id = "";
      let before: unknown;
      {
        await using test = await testScheduler({ cacheFolder, cachePrecision });
        const made = await test.scheduler.documents.create({ text: TEXT, eviction: EVICTION });
        ({ id } = made);
        const memory = test.scheduler.stats().cacheBytes;
        const { size } = await Deno.stat(`${cacheFolder}/${id}.kvcache`);
        taken.push({ memory, disk: size, after: made.bytesAfter });
        before = await answersOf(test.scheduler, id);
        // Those who asked had copies: the document itself still rests.
        assertEquals(await answersOf(test.scheduler, id), before);
      }
      await using test = await testScheduler({ cacheFolder, cachePrecision });
      assertEquals(await answersOf(test.scheduler, id), before);
    });
  }
  const [wide, half, byte] = taken;
  assert(wide && half && byte);
  for (const name of ["disk", "after"] as const) {
    assert(half[name] < 0.75 * wide[name], `${name}: ${half[name]} of ${wide[name]}`);
    assert(byte[name] < 0.85 * half[name], `${name}: ${byte[name]} of ${half[name]}`);
  }
  assert(half.memory < wide.memory && byte.memory < half.memory);
});

Deno.test("a document whose file was damaged is refused, and the server goes on", async () => {
  const cacheFolder = await Deno.makeTempDir();
  let id = "";
  {
    await using test = await testScheduler({ cacheFolder });
    id = (await test.scheduler.documents.create({ text: TEXT, eviction: EVICTION })).id;
  }
  const path = `${cacheFolder}/${id}.kvcache`;
  const bytes = await Deno.readFile(path);
  bytes[bytes.length - 5000] = (bytes[bytes.length - 5000] ?? 0) ^ 1;
  await Deno.writeFile(path, bytes);
  await using test = await testScheduler({ cacheFolder });
  await assertRejects(() => outcomeOf(test.scheduler, question(id, 1)), Error, "Cannot load");
  assertEquals((await outcomeOf(test.scheduler, idsRequest(someIds(9)))).answers[0]?.length, 8);
  await Deno.remove(cacheFolder, { recursive: true });
});

Deno.test("documents of a folder are bounded: the one that was used least recently goes", async () => {
  const cacheFolder = await Deno.makeTempDir();
  let now = 1_000_000;
  await using test = await testScheduler({
    cacheFolder,
    folderBytes: 320_000,
    now: () => now += 10,
  });
  const { documents } = test.scheduler;
  const ids: string[] = [];
  for (let seed = 0; seed < 4; seed++) {
    const made = await documents.create({ text: someIds(300, seed).join(" "), eviction: EVICTION });
    ids.push(made.id);
    if (seed === 2) await outcomeOf(test.scheduler, question(ids[0] ?? "", 1));
  }
  const left = documents.list().map(({ id }) => id);
  assert(left.includes(ids[0] ?? "") && left.includes(ids[3] ?? ""), left.join());
  assert(!left.includes(ids[1] ?? ""));
  await Deno.remove(cacheFolder, { recursive: true });
});

Deno.test("a reading that is cancelled leaves nothing behind", async () => {
  const cacheFolder = await Deno.makeTempDir();
  await using test = await testScheduler({ cacheFolder });
  const leaving = new AbortController();
  await assertRejects(
    () =>
      test.scheduler.documents.create({
        text: TEXT,
        signal: leaving.signal,
        onProgress: () => leaving.abort(new DOMException("left", "AbortError")),
      }),
    DOMException,
  );
  assertEquals(await Array.fromAsync(Deno.readDir(cacheFolder)), []);
  assertEquals(test.scheduler.stats().running, 0);
  await Deno.remove(cacheFolder, { recursive: true });
});

Deno.test("memory for documents without a folder is bounded: the oldest is forgotten", async () => {
  let now = 1_000_000;
  await using test = await testScheduler({ cacheMemory: 2_000_000, now: () => now += 10 });
  const { documents } = test.scheduler;
  for (let seed = 0; seed < 6; seed++) {
    await documents.create({ text: someIds(300, seed).join(" "), eviction: false });
    assert(test.scheduler.stats().cacheBytes <= 2_000_000);
  }
  const { length } = documents.list();
  assert(length >= 1 && length < 6, `${length} documents`);
});

Deno.test({
  name: "a folder that is made for documents is its user's alone: it holds their texts",
  ignore: Deno.build.os === "windows",
  async fn() {
    const parent = await Deno.makeTempDir();
    await openDocumentFiles(`${parent}/a/b`);
    assertEquals(((await Deno.stat(`${parent}/a/b`)).mode ?? 0) & 0o077, 0);
    await Deno.remove(parent, { recursive: true });
  },
});
