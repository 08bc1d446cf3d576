import { assert, assertEquals, assertRejects } from "@std/assert";
import { expectedAttention } from "../../../policies/expected_attention.ts";
import { full } from "../../../policies/full.ts";
import { h2o } from "../../../policies/h2o.ts";
import { judgeQ } from "../../../policies/judge_q.ts";
import { knorm } from "../../../policies/knorm.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { PromptError } from "../../../runtime/errors.ts";
import { asMessages } from "../../../runtime/tokenizer/prompt.ts";
import type { Session } from "../../../runtime/session/session.ts";
import { chatModel, whole } from "./_chat.ts";

const DOCUMENT = Array.from(
  { length: 30 },
  (_, index) => `House ${index} of Mill Lane has ${index % 7} windows and ${index % 5} doors.`,
).join("\n");
const QUESTIONS = Array.from({ length: 10 }, (_, index) => `How many doors has house ${index}?`);

/** Everything that a session would go on from, as it would be saved. */
async function trace(session: Session): Promise<Uint8Array> {
  const path = await Deno.makeTempFile();
  await session.save(path);
  const bytes = await Deno.readFile(path);
  await Deno.remove(path);
  return bytes;
}

Deno.test("session.ask() leaves no trace: ten questions find what the first one found", async () => {
  await using test = await chatModel(4096);
  await using session = test.model.session({ policy: knorm(), budget: 64 });
  await session.read({ document: DOCUMENT });
  const read = session.stats();
  assertEquals(read.prefilled, session.ids.length);
  const before = await trace(session);
  const answers: string[] = [];
  let asked = 0;
  for (const question of QUESTIONS) {
    const answer = await whole(session.ask(question, { maxTokens: 6 }));
    answers.push(answer.text);
    const all = test.model.tokenizer.encodeChat(asMessages({ document: DOCUMENT }, question));
    asked += all.length - session.ids.length;
  }
  assertEquals(await trace(session), before);
  const { prefilled, promptTokens, held, kept } = session.stats();
  // One prefill of the document; each question costs its own tokens.
  assertEquals(prefilled, read.prefilled + asked);
  assertEquals([promptTokens, held, kept], [read.promptTokens, read.held, read.kept]);
  await using fresh = test.model.session({ policy: knorm(), budget: 64 });
  await fresh.read({ document: DOCUMENT });
  const last = await whole(fresh.ask(QUESTIONS[9] ?? "", { maxTokens: 6 }));
  assertEquals(last.text, answers[9]);
});

Deno.test("session.ask() about a document without eviction is asking all at once", async () => {
  await using test = await chatModel(4096);
  await using session = test.model.session({ policy: full() });
  const [question = ""] = QUESTIONS;
  await session.read({ document: DOCUMENT, system: "Count." });
  const parts = await whole(session.ask(question, { maxTokens: 8 }));
  const messages = asMessages({ document: DOCUMENT, system: "Count." }, question);
  const once = await whole(session.generate({ messages }, { maxTokens: 8 }));
  assertEquals(parts.ids, once.ids);
  const asked = await whole(session.ask(DOCUMENT, question, { maxTokens: 8 }));
  await session.read({ document: DOCUMENT });
  assertEquals((await whole(session.ask(question, { maxTokens: 8 }))).ids, asked.ids);
});

Deno.test("session.ask() follows a conversation, and text as it is", async () => {
  await using test = await chatModel(4096);
  const { model } = test;
  await using session = model.session({ policy: full() });
  const messages = [{ role: "user", content: "Hello" }];
  const reply = await whole(session.generate({ messages }, { maxTokens: 5 }));
  const { ids } = session;
  const aside = await whole(session.ask("And?", { maxTokens: 5 }));
  assertEquals(session.ids, ids);
  const told = [
    ...messages,
    { role: "assistant", content: reply.text },
    { role: "user", content: "And?" },
  ];
  const once = await whole(session.generate({ messages: told }, { maxTokens: 5 }));
  assertEquals(aside.ids, once.ids);
  await session.read({ text: "Mill Lane" });
  const raw = await whole(session.ask(" has", { maxTokens: 5 }));
  assertEquals(
    raw.ids,
    (await whole(session.generate({ text: "Mill Lane has" }, { maxTokens: 5 }))).ids,
  );
});

Deno.test("session.ask() rolls back when it is left, aborted, superseded or fails", async () => {
  await using test = await chatModel();
  await using session = test.model.session({ policy: knorm(), budget: 64 });
  const document = DOCUMENT.slice(0, 500);
  await session.read({ document });
  const before = await trace(session);
  for await (const _ of session.ask("Left?", { maxTokens: 50 })) break;
  assertEquals(await trace(session), before);
  const aborted = await whole(session.ask("Aborted?", { signal: AbortSignal.abort() }));
  assertEquals([aborted.ids.length, aborted.finishReason], [0, "abort"]);
  assertEquals(await trace(session), before);
  await assertRejects(() => whole(session.ask("long ".repeat(900))), PromptError, "context");
  assertEquals(await trace(session), before);
  const first = session.ask("Superseded?", { maxTokens: 50 })[Symbol.asyncIterator]();
  await first.next();
  await assertRejects(() => session.save("/nowhere"), PromptError, "a question is being answered");
  await assertRejects(() => session.fork(), PromptError, "Cannot fork: a question is being");
  const [second, fresh] = [session.ask(QUESTIONS[1] ?? ""), session.ask(QUESTIONS[1] ?? "")];
  await whole(second);
  await assertRejects(() => first.next(), PromptError, "something else");
  assertEquals(await trace(session), before);
  assertEquals((await whole(fresh)).ids, second.ids);
});

Deno.test("pitfall 15, multi-turn: session.stats() notes what evicted before the question was known", async () => {
  await using test = await chatModel(4096);
  const cases = [
    { policy: snapKv({ window: 8 }), noted: true },
    { policy: h2o(), noted: true },
    { policy: judgeQ({ window: 8 }), noted: true },
    { policy: knorm(), noted: false },
    { policy: expectedAttention(), noted: false },
    { policy: full(), noted: false },
  ];
  for (const { policy, noted } of cases) {
    const has = (session: Session) =>
      session.stats().notes.some((note) => note.startsWith(`${policy.name} evicted before the`));
    await using session = test.model.session({ policy, budget: 64 });
    await session.read({ document: DOCUMENT });
    assertEquals([policy.name, has(session)], [policy.name, noted]);
    await whole(session.ask(DOCUMENT, "How many?", { maxTokens: 2 }));
    assertEquals([policy.name, has(session)], [policy.name, false]);
    await whole(session.ask("And doors?", { maxTokens: 2 }));
    assertEquals([policy.name, has(session)], [policy.name, noted]);
    await using large = test.model.session({ policy, budget: 4000 });
    await large.read({ document: DOCUMENT });
    assert(!has(large));
  }
});
