import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { full } from "../../../policies/full.ts";
import { knorm } from "../../../policies/knorm.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { BudgetError, PromptError } from "../../../runtime/errors.ts";
import type { Session } from "../../../runtime/session/session.ts";
import { bytesPerToken } from "../../../runtime/cache/bytes_per_token.ts";
import { randomIds, tinyModel } from "../../_test_model.ts";
import { whole } from "./_chat.ts";

const IDS = randomIds(120, 320);

const answer = async (session: Session, maxTokens = 8) =>
  (await whole(session.generate({ maxTokens }))).ids;

Deno.test("session.rollback() brings back what was read, and what was being answered", async () => {
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: knorm(), budget: 16 });
  await session.read({ ids: IDS.slice(0, 50) });
  const document = await session.mark();
  const first = await answer(session, 5);
  const middle = await session.mark();
  const rest = await answer(session);
  assertEquals([document.tokens, middle.tokens], [50, 55]);
  await session.rollback(middle);
  assertEquals(session.ids, [...IDS.slice(0, 50), ...first]);
  assertEquals(await answer(session), rest);
  await session.rollback(document);
  assertEquals(await answer(session, 5), first);
  assertEquals(session.stats().held, [20, 20, 20]);
});

Deno.test("session.rollback() brings back what an eviction took, and its memory is counted until then", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const token = bytesPerToken(tiny.model.config);
  await using session = tiny.model.session({ policy: snapKv({ window: 4 }), budget: 16 });
  await session.read({ ids: IDS.slice(0, 40) });
  await using untouched = await session.fork();
  const mark = await session.mark();
  assertEquals(session.stats().bytes.now, 16 * token);
  await session.append({ ids: IDS.slice(40, 80) });
  const copy = session.stats().bytes.now - 16 * token;
  assert(copy >= 16 * token, `${copy}`);
  await session.append({ ids: IDS.slice(80) });
  assertEquals(session.stats().bytes.now, 16 * token + copy);
  await session.rollback(mark);
  assertEquals(session.ids, IDS.slice(0, 40));
  assertEquals(await answer(session), await answer(untouched));
  // The mark is still good, after another eviction too.
  await session.append({ ids: IDS.slice(40) });
  await session.rollback(mark);
  mark[Symbol.dispose]();
  await session.append({ ids: IDS.slice(40) });
  assertEquals(session.stats().bytes.now, 16 * token);
});

Deno.test("session.rollback() brings back what was told of the eviction, but not what was worked", async () => {
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: knorm(), budget: 16 });
  await session.read({ ids: IDS.slice(0, 60) });
  const before = session.stats();
  const mark = await session.mark();
  session.configure({ policy: snapKv({ window: 4 }), budget: 8 });
  await session.append({ ids: IDS.slice(60) });
  assertEquals([session.stats().kept[0], session.stats().promptTokens], [[8, 8], 120]);
  await session.rollback(mark);
  const { kept, held, promptTokens, bytes, prefilled, policy } = session.stats();
  assertEquals([kept, held, promptTokens, bytes], [
    before.kept,
    before.held,
    before.promptTokens,
    before.bytes,
  ]);
  assertEquals([prefilled, policy], [120, "snapkv"]);
  const path = await Deno.makeTempFile();
  const { record } = await session.save(path);
  assertEquals([record.policy.name, record.policy.budget], ["knorm", 16]);
  await Deno.remove(path);
});

Deno.test("session.configure() refuses what no session may have, and changes nothing", async () => {
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: knorm(), budget: 16 });
  assertThrows(() => session.configure({ budget: 0 }), BudgetError);
  assertThrows(() => session.configure({ policy: full(), chunk: 0 }), PromptError);
  await session.read({ ids: IDS });
  assertEquals([session.stats().policy, session.stats().held[0]], ["knorm", 16]);
});

Deno.test("session.rollback() goes through several evictions to any mark before it", async () => {
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: knorm(), budget: 16 });
  const marks = [];
  const answers = [];
  for (let at = 0; at < 120; at += 30) {
    await session.append({ ids: IDS.slice(at, at + 30) });
    marks.push(await session.mark());
    await using probe = await session.fork();
    answers.push(await answer(probe));
  }
  for (const at of [3, 2, 0]) {
    const mark = marks[at];
    assert(mark);
    await session.rollback(mark);
    assertEquals(await answer(session), answers[at] ?? []);
  }
  const later = marks[1];
  assert(later);
  await assertRejects(() => session.rollback(later), PromptError, "Cannot roll back: the mark");
});

Deno.test("session.rollback() refuses marks of other sessions, of other prompts and disposed ones", async () => {
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: knorm(), budget: 16 });
  await session.read({ ids: IDS });
  const own = await session.mark();
  await using other = await session.fork();
  await assertRejects(() => other.rollback(own), PromptError, "not one of this session");
  const gone = await session.mark();
  gone[Symbol.dispose]();
  await assertRejects(() => session.rollback(gone), PromptError, "disposed of");
  await session.rollback(own);
  await session.read({ ids: IDS.slice(9) });
  await assertRejects(() => session.rollback(own), PromptError, "Cannot roll back");
  assertEquals(session.ids.length, IDS.length - 9);
});

Deno.test("session.fork() makes two that live on independently, and counts its memory", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const token = bytesPerToken(tiny.model.config);
  await using session = tiny.model.session({ policy: knorm(), budget: 16 });
  await session.read({ ids: IDS.slice(0, 60) });
  const expected = await answer(await session.fork());
  const fork = await session.fork();
  assertEquals(fork.stats().bytes.now, 16 * token);
  assertEquals(fork.stats().kept, session.stats().kept);
  await fork.append({ ids: IDS.slice(60) });
  assertEquals([session.ids.length, fork.ids.length], [60, 120]);
  const other = await answer(fork);
  assertEquals(await answer(session), expected);
  await fork[Symbol.asyncDispose]();
  assertEquals([fork.stats().bytes.now, session.stats().held.length], [0, 3]);
  await using again = tiny.model.session({ policy: knorm(), budget: 16 });
  await again.read({ ids: IDS.slice(0, 60) });
  await again.append({ ids: IDS.slice(60) });
  assertEquals(await answer(again), other);
});

Deno.test("session.fork() outlives its parent and takes another policy and budget", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const session = tiny.model.session({ policy: full() });
  await session.read({ ids: IDS.slice(0, 60) });
  await using fork = await session.fork({ policy: knorm(), budget: 10 });
  await assertRejects(() => session.fork({ budget: 0 }), BudgetError);
  await session[Symbol.asyncDispose]();
  assertEquals(fork.stats().held, [60, 60, 60]);
  await fork.append({ ids: IDS.slice(60) });
  assertEquals(fork.stats().held, [10, 10, 10]);
  await assertRejects(() => session.fork(), PromptError, "Cannot fork: the session is closed");
  await assertRejects(
    () => session.mark(),
    PromptError,
    "Cannot take a mark: the session is closed",
  );
});

Deno.test("session.fork() in the middle of an answer lets both finish it alike", async () => {
  await using tiny = await tinyModel("tiny-llama");
  await using session = tiny.model.session({ policy: knorm(), budget: 16 });
  const all = (await whole(session.generate({ ids: IDS }, { maxTokens: 9 }))).ids.slice();
  await session.read({ ids: IDS });
  const begun = await answer(session, 4);
  await using fork = await session.fork();
  assertEquals([...begun, ...await answer(session, 5)], all);
  assertEquals([...begun, ...await answer(fork, 5)], all);
  assertThrows(() => fork.generate({ maxTokens: 0 }), PromptError, "maxTokens");
});
