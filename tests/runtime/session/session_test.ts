import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { full } from "../../../policies/full.ts";
import { knorm } from "../../../policies/knorm.ts";
import type { Policy } from "../../../policies/policy.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { bytesPerToken } from "../../../runtime/cache/bytes_per_token.ts";
import { KvjudgeError, PromptError } from "../../../runtime/errors.ts";
import type { Generation } from "../../../runtime/session/generate.ts";
import type { Model } from "../../../runtime/model.ts";
import { createSession } from "../../../runtime/session/open.ts";
import type { Session, SessionOptions } from "../../../runtime/session/session.ts";
import { probePolicy } from "../../_probe_policy.ts";
import { randomIds, tinyModel } from "../../_test_model.ts";
import { wordTokenizer } from "../../_word_tokenizer.ts";

const IDS = randomIds(96, 320);
const TEXT = IDS.join(" ");

/** A session whose texts are numbers, so that a text is known from its ids. */
function wordSession(
  { engine, facts }: Model,
  options: SessionOptions,
  { eosIds = [], now = () => 0 }: { eosIds?: readonly number[]; now?: () => number } = {},
): Session {
  const config = { ...engine.config, eosIds };
  const tokenizer = wordTokenizer(config.vocabulary);
  return createSession({ engine: { ...engine, config }, tokenizer, facts, now }, options);
}

async function pieces(answer: Generation): Promise<string[]> {
  const all: string[] = [];
  for await (const piece of answer) all.push(piece);
  return all;
}

async function idsOf(session: Session, maxTokens: number): Promise<readonly number[]> {
  const answer = session.generate({ ids: IDS }, { maxTokens });
  await pieces(answer);
  return answer.ids;
}

Deno.test("session.generate() streams text, ids and the reason that it ended", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, { policy: snapKv({ window: 8 }), budget: 24 });
  const answer = session.generate({ text: TEXT }, { maxTokens: 5 });
  assertEquals([answer.ids, answer.text, answer.finishReason], [[], "", undefined]);
  const seen: string[] = [];
  for await (const piece of answer) {
    seen.push(piece);
    assertEquals(answer.text, seen.join(""));
    assertEquals(answer.ids.length, seen.length);
    assertEquals(answer.finishReason, undefined);
  }
  assertEquals(seen, answer.ids.map((id) => ` ${id}`));
  assertEquals([answer.ids.length, answer.finishReason], [5, "length"]);
});

Deno.test("session.generate() takes messages, text and ids alike, and so does ask()", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, {
    policy: knorm(),
    budget: 24,
    protectSystem: false,
  });
  const messages = [
    { role: "system", content: IDS.slice(0, 50).join(" ") },
    { role: "user", content: IDS.slice(50).join(" ") },
  ];
  const [document, question] = [IDS.slice(0, 80).join(" "), IDS.slice(80).join(" ")];
  const answers = [
    session.generate({ ids: IDS }, { maxTokens: 4 }),
    session.generate({ text: TEXT }, { maxTokens: 4 }),
    session.generate({ messages }, { maxTokens: 4 }),
    session.ask(document, question, { maxTokens: 4 }),
  ];
  for (const answer of answers) await pieces(answer);
  assertEquals(new Set(answers.map(({ text }) => text)).size, 1);
});

Deno.test("session.generate() ends at a stop token, which is not part of the answer", async () => {
  await using test = await tinyModel("tiny-llama");
  await using endless = wordSession(test.model, { policy: full() });
  const ids = await idsOf(endless, 6);
  const last = ids[5] ?? NaN;
  const end = ids.indexOf(last);
  await using session = wordSession(test.model, { policy: full() }, { eosIds: [last] });
  const answer = session.generate({ ids: IDS }, { maxTokens: 50 });
  await pieces(answer);
  assertEquals(answer.ids, ids.slice(0, end));
  assertEquals(answer.finishReason, "stop");
});

Deno.test("session.generate() ends at a stop string that is split over tokens", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, { policy: full() });
  const ids = await idsOf(session, 6);
  const stop = `${ids[2]} ${ids[3]} ${String(ids[4])[0]}`;
  const answer = session.generate({ ids: IDS }, { maxTokens: 50, stop: ["never", stop] });
  const shown = await pieces(answer);
  assertEquals(answer.text, ` ${ids[0]} ${ids[1]} `);
  assertEquals(shown.join(""), answer.text);
  assertEquals(answer.finishReason, "stop");
});

Deno.test("session.generate() shows what was held back for a stop string that never came", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, { policy: full() });
  const ids = await idsOf(session, 4);
  const answer = session.generate({ ids: IDS }, { maxTokens: 4, stop: [` ${ids[3]} and more`] });
  await pieces(answer);
  assertEquals(answer.text, ids.map((id) => ` ${id}`).join(""));
  assertEquals(answer.finishReason, "length");
});

Deno.test("session.generate() stops at the end of the context where it may not be passed", async () => {
  await using test = await tinyModel("tiny-llama");
  const { context } = test.model.config;
  await using session = wordSession(test.model, {
    policy: knorm(),
    budget: 24,
    beyondContext: "refuse",
  });
  const ids = Array.from({ length: context - 3 }, (_, index) => 2 + index % 300);
  const answer = session.generate({ ids }, { maxTokens: 50 });
  await pieces(answer);
  // The last token fills the context; it need not be read again.
  assertEquals([answer.ids.length, answer.finishReason], [4, "length"]);
});

Deno.test("session.generate() stops while it reads the prompt when it is told to", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, { policy: knorm(), budget: 24, chunk: 8 });
  const controller = new AbortController();
  let read = 0;
  const answer = session.generate({ ids: IDS }, {
    signal: controller.signal,
    onProgress: (done) => {
      read = done;
      if (done >= 32) controller.abort();
    },
  });
  assertEquals(await pieces(answer), []);
  assertEquals([answer.ids, answer.finishReason, read], [[], "abort", 32]);
  assertEquals(session.stats().bytes.now, 0);
  assertEquals((await idsOf(session, 3)).length, 3);
});

Deno.test("session.generate() reads nothing when it was told to stop before", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, { policy: knorm(), budget: 24 });
  let progress = 0;
  const signal = AbortSignal.abort();
  const answer = session.generate({ ids: IDS }, { signal, onProgress: () => progress++ });
  assertEquals(await pieces(answer), []);
  assertEquals([answer.finishReason, progress], ["abort", 0]);
});

Deno.test("session.generate() stops while it decodes when it is told to, and keeps its text", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, { policy: knorm(), budget: 24 });
  const whole = await idsOf(session, 8);
  const controller = new AbortController();
  const answer = session.generate({ ids: IDS }, { maxTokens: 8, signal: controller.signal });
  for await (const _ of answer) {
    if (answer.ids.length === 3) controller.abort();
  }
  assertEquals(answer.ids, whole.slice(0, 3));
  assertEquals([answer.text, answer.finishReason], [
    whole.slice(0, 3).map((id) => ` ${id}`).join(""),
    "abort",
  ]);
});

Deno.test("session.generate() notices a timer between two steps", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, { policy: full() });
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), 5);
  const answer = session.generate({ ids: IDS }, { maxTokens: 400, signal: controller.signal });
  await pieces(answer);
  clearTimeout(timer);
  assertEquals(answer.finishReason, "abort");
  assert(answer.ids.length < 400);
});

Deno.test("session.generate() can be left early", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, { policy: knorm(), budget: 24 });
  const answer = session.generate({ ids: IDS }, { maxTokens: 8 });
  for await (const _ of answer) break;
  assertEquals([answer.ids.length, answer.finishReason], [1, "abort"]);
});

Deno.test("session.generate() refuses to be iterated over twice and keeps its text", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, { policy: knorm(), budget: 24 });
  const answer = session.generate({ ids: IDS }, { maxTokens: 3 });
  await pieces(answer);
  const { text } = answer;
  await assertRejects(() => pieces(answer), PromptError, "Cannot iterate over an answer twice");
  assertEquals([answer.text, answer.finishReason], [text, "length"]);
});

Deno.test("session.generate() refuses settings before any work is done", async () => {
  await using test = await tinyModel("tiny-llama");
  const session = test.model.session({ policy: knorm() });
  for (const maxTokens of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(
      () => session.generate({ ids: IDS }, { maxTokens }),
      PromptError,
      `'maxTokens' must be an integer of at least 1, got ${maxTokens}`,
    );
  }
  assertThrows(
    () => session.generate({ ids: IDS }, { topP: 2 }),
    PromptError,
    "'topP' must be above 0",
  );
  await session[Symbol.asyncDispose]();
});

Deno.test("session.generate() draws the same text for the same seed", async () => {
  await using test = await tinyModel("tiny-llama");
  const draw = async (seed: number) => {
    await using session = wordSession(test.model, { policy: snapKv({ window: 8 }), budget: 24 });
    const answer = session.generate({ ids: IDS }, { maxTokens: 12, temperature: 1.5, seed });
    await pieces(answer);
    return answer.text;
  };
  assertEquals(await draw(3), await draw(3));
  assert(await draw(3) !== await draw(4));
});

Deno.test("session.generate() counts repeated tokens of the prompt and of the answer", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, { policy: full() });
  const answer = session.generate({ ids: IDS }, { maxTokens: 40, repetitionPenalty: 1e6 });
  await pieces(answer);
  assertEquals(new Set([...IDS, ...answer.ids]).size, IDS.length + 40);
});

Deno.test("session refuses to be used after it is closed, and closes twice", async () => {
  await using test = await tinyModel("tiny-llama");
  const session = wordSession(test.model, { policy: knorm(), budget: 24 });
  const answer = session.generate({ ids: IDS }, { maxTokens: 8 });
  const iterator = answer[Symbol.asyncIterator]();
  await iterator.next();
  const later = session.generate({ ids: IDS });
  await session[Symbol.asyncDispose]();
  await session[Symbol.asyncDispose]();
  const closed = "the session is closed; open another one";
  await assertRejects(() => iterator.next(), PromptError, `Cannot go on: ${closed}`);
  await assertRejects(() => pieces(later), PromptError, `Cannot read a prompt: ${closed}`);
  await assertRejects(() => session.read({ ids: IDS }), PromptError, closed);
  assertEquals(session.stats().bytes.now, 0);
  assertEquals(answer.ids.length, 1);
});

Deno.test("session stops reading when it is closed meanwhile", async () => {
  await using test = await tinyModel("tiny-llama");
  const session = wordSession(test.model, { policy: knorm(), budget: 24, chunk: 8 });
  const reading = session.read({ ids: IDS });
  await session[Symbol.asyncDispose]();
  await assertRejects(() => reading, PromptError, "the session is closed");
});

Deno.test("session makes one answer at a time: the older one says so", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = wordSession(test.model, { policy: knorm(), budget: 24, chunk: 8 });
  const whole = await idsOf(session, 5);
  const first = session.generate({ ids: IDS }, { maxTokens: 5 })[Symbol.asyncIterator]();
  await first.next();
  const second = session.generate({ ids: IDS }, { maxTokens: 5 });
  await pieces(second);
  assertEquals(second.ids, whole);
  await assertRejects(() => first.next(), PromptError, "use one session for each answer");
  const interrupted = session.read({ ids: IDS });
  const [, third] = await Promise.all([
    assertRejects(() => interrupted, PromptError, "begun to read or answer something else"),
    idsOf(session, 5),
  ]);
  assertEquals(third, whole);
});

Deno.test("sessions of one model do not disturb each other", async () => {
  await using test = await tinyModel("tiny-llama");
  await using alone = wordSession(test.model, { policy: knorm(), budget: 24 });
  const expected = await idsOf(alone, 6);
  await using one = wordSession(test.model, { policy: knorm(), budget: 24, chunk: 8 });
  await using two = wordSession(test.model, { policy: knorm(), budget: 24, chunk: 8 });
  assertEquals(await Promise.all([idsOf(one, 6), idsOf(two, 6)]), [expected, expected]);
});

Deno.test("session frees what it read when a policy fails, and can read again", async () => {
  await using test = await tinyModel("tiny-llama");
  let fail = true;
  const moody: Policy = {
    name: "moody",
    evidence: { kind: "none" },
    score: ({ kvHeads, length, layer }) => {
      if (fail && layer === 2) throw new Error("not today");
      return new Float32Array(kvHeads * length);
    },
  };
  await using session = wordSession(test.model, { policy: moody, budget: 24 });
  await assertRejects(
    () => session.read({ ids: IDS }),
    KvjudgeError,
    "Policy 'moody' failed in layer 2: not today",
  );
  assertEquals(session.stats().bytes.now, 0);
  assertEquals(session.stats().kept, []);
  fail = false;
  const { kept } = await session.read({ ids: IDS });
  assertEquals(kept[2]?.[0]?.length, 24);
});

Deno.test("session.read() gives logits, kept tokens and scores where they are wanted", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = test.model.session({ policy: knorm(), budget: 24 });
  const plain = await session.read({ ids: IDS });
  assertEquals(plain.scores, []);
  assertEquals(plain.logits.length, 320);
  const scored = await session.read({ ids: IDS }, { scores: true });
  assertEquals(scored.scores.map(({ length }) => length), [192, 192, 192]);
  assertEquals(scored.kept, plain.kept);
  await using everything = test.model.session({ policy: knorm(), budget: 500 });
  assertEquals((await everything.read({ ids: IDS }, { scores: true })).scores, scored.scores);
});

Deno.test("session.read() tells how far it is, to the last token", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = test.model.session({
    policy: snapKv({ window: 8 }),
    budget: 24,
    chunk: 40,
  });
  const progress: [number, number][] = [];
  await session.read({ ids: IDS }, { onProgress: (...step) => progress.push(step) });
  assertEquals(progress, [[40, 96], [80, 96], [88, 96], [96, 96]]);
});

Deno.test("session.stats() tells tokens, bytes, times and steps", async () => {
  await using test = await tinyModel("tiny-llama");
  let clock = 0;
  const now = () => clock++;
  await using session = wordSession(test.model, { policy: snapKv({ window: 8 }), budget: 24 }, {
    now,
  });
  assertEquals(session.stats(), {
    policy: "snapkv",
    promptTokens: 0,
    prefilled: 0,
    tokens: 0,
    kept: [],
    held: [0, 0, 0],
    bytes: { before: 0, after: 0, now: 0 },
    times: { prefill: 0, evidence: 0, selection: 0, compaction: 0, decode: 0 },
    steps: 0,
    readEvictions: 0,
    decodeEvictions: 0,
    rerotations: 0,
    turns: 0,
    notes: [],
  });
  await idsOf(session, 4);
  const token = bytesPerToken(test.model.config);
  const stats = session.stats();
  assertEquals([stats.promptTokens, stats.prefilled, stats.tokens], [96, 96, 100]);
  assertEquals(stats.held, [27, 27, 27]);
  assertEquals(stats.kept, [[24, 24], [24, 24], [24, 24]]);
  assertEquals([stats.bytes.before, stats.bytes.after], [96 * token, 24 * token]);
  assert(stats.bytes.now >= 27 * token);
  assertEquals(stats.steps, 3);
  assertEquals(stats.times.decode, 3);
  assertEquals(stats.notes, []);
  for (const time of Object.values(stats.times)) assert(time > 0);
});

Deno.test("session asks a policy for nothing where everything is kept", async () => {
  await using test = await tinyModel("tiny-llama");
  const policy = probePolicy({ kind: "accumulated" });
  await using session = test.model.session({ policy, budget: 96 });
  await session.read({ ids: IDS });
  assertEquals(policy.views, []);
});

Deno.test("createSession() refuses chunks that are no positive integers", async () => {
  await using test = await tinyModel("tiny-llama");
  for (const chunk of [0, -1, 2.5, NaN]) {
    assertThrows(
      () => test.model.session({ policy: knorm(), chunk }),
      PromptError,
      `'chunk' must be an integer of at least 1, got ${chunk}`,
    );
  }
});
