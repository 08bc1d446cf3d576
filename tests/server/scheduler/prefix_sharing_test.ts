import { assert, assertEquals } from "@std/assert";
import type { ChatMessage, Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import { answerOpening, answerStarts } from "../../../server/prompt/answer_opening.ts";
import type { ChatTurn } from "../../../server/prompt/chat_prompt.ts";
import type { GenerationRequest } from "../../../server/scheduler/request.ts";
import type { Scheduler } from "../../../server/scheduler/scheduler.ts";
import { fixture } from "../../_test_model.ts";
import { wordTokenizer } from "../../_word_tokenizer.ts";
import { idsRequest, outcomeOf, someIds, testScheduler } from "./_test_scheduler.ts";

/** Words as tokens, with marks around turns as chat templates write them. */
function turnTokenizer(vocabulary: number): Tokenizer {
  const words = wordTokenizer(vocabulary);
  const render = (messages: readonly ChatMessage[]) =>
    messages.map(({ role, content }) => `70 ${role === "assistant" ? 73 : 71} ${content} 72`)
      .join(" ") + " 70 73";
  return { ...words, renderChat: (messages) => ({ text: render(messages), guards: [] }) };
}

/** Tokens between a user's words and the answer. */
const OPENING = [72, 70, 73];

function chat(messages: readonly ChatTurn[], more: object = {}): GenerationRequest {
  return { ...idsRequest([]), prompt: { kind: "chat", messages }, ...more };
}

const words = (count: number, seed: number) => someIds(count, seed, 60).join(" ");

/** A conversation, and how many tokens of each of its prompts were read. */
async function converse(
  scheduler: Scheduler,
  sizes: readonly number[],
  more: object = {},
  opening: readonly ChatTurn[] = [],
) {
  const messages = [...opening];
  const turns: {
    readonly messages: readonly ChatTurn[];
    readonly prompt: number;
    readonly read: number;
    readonly answer: string;
  }[] = [];
  for (const [seed, size] of sizes.entries()) {
    messages.push({ role: "user", content: words(size, seed) });
    const { done: { usage }, texts: [answer = ""] } = await outcomeOf(
      scheduler,
      chat(messages, more),
    );
    const { promptTokens, cachedTokens } = usage;
    const read = promptTokens - cachedTokens;
    turns.push({ messages: [...messages], prompt: promptTokens, read, answer });
    messages.push({ role: "assistant", content: answer.trim() });
  }
  return turns;
}

Deno.test("what stands between a question and its answer is found in the template", () => {
  assertEquals(answerOpening(turnTokenizer(80)), OPENING);
  assertEquals(answerOpening({ ...turnTokenizer(80), hasChatTemplate: false }), []);
  const ids = [70, 71, 5, 72, 70, 73, 8, 72, 70, 71, 6, 72, 70, 73];
  assertEquals(answerStarts(ids, OPENING), [6, 14]);
  assertEquals(answerStarts(ids, []), []);
});

for (const model of ["tiny-qwen3", "tiny-mistral-window", "tiny-gemma3"]) {
  const options = { models: [{ id: "tiny", source: fixture(model) }] };

  Deno.test(`a conversation's turns are read once, and answered as if they were read anew (${model})`, async () => {
    await using warm = await testScheduler(options, turnTokenizer);
    await using cold = await testScheduler({ ...options, cacheMemory: 0 }, turnTokenizer);
    const sizes = [90, 70, 80, 80];
    const turns = await converse(warm.scheduler, sizes);
    const again = turns.map(({ prompt, read }, index) =>
      read - (prompt - (turns[index - 1]?.prompt ?? 0))
    );
    // The third prompt ends 17 tokens behind a whole chunk: they do not pay a step of their own.
    assertEquals(again, [0, 0, 0, 17]);
    const anew = await converse(cold.scheduler, sizes);
    assertEquals(anew.map(({ answer }) => answer), turns.map(({ answer }) => answer));
    assertEquals(anew.map(({ prompt, read }) => prompt - read), [0, 0, 0, 0]);
  });

  Deno.test(`behind a document, too: it and each turn are read once (${model})`, async () => {
    await using warm = await testScheduler(options, turnTokenizer);
    // Sizes that pay a step of their own; the model's context is 512.
    const sizes = [70, 66, 64];
    const document = {
      text: words(120, 7),
      eviction: { policy: "knorm", budget: { tokens: 48 } },
    } as const;
    const made = await warm.scheduler.documents.create(document);
    const before = warm.scheduler.stats();
    const turns = await converse(warm.scheduler, sizes, { document: made.id });
    for (const [index, { prompt, read }] of turns.entries()) {
      assertEquals(read, prompt - (turns[index - 1]?.prompt ?? made.tokens), `turn ${index}`);
    }
    const { prefixQueries, prefixHits } = warm.scheduler.stats();
    const read = prefixQueries - before.prefixQueries - (prefixHits - before.prefixHits);
    assertEquals(read, (turns.at(-1)?.prompt ?? 0) - made.tokens);
    const { messages, answer } = turns.at(-1) ?? { messages: [] };
    await using fresh = await testScheduler(options, turnTokenizer);
    const other = await fresh.scheduler.documents.create(document);
    const anew = await outcomeOf(fresh.scheduler, chat(messages, { document: other.id }));
    assertEquals([anew.done.usage.cachedTokens, anew.texts], [made.tokens, [answer]]);
    // The same document read again is another cache: nothing behind the first one is found.
    await warm.scheduler.documents.remove(made.id);
    await warm.scheduler.documents.create(document);
    const [again] = await converse(warm.scheduler, sizes.slice(0, 1), { document: made.id });
    assertEquals(again, turns[0]);
  });
}

Deno.test("a system message is shared by chats that go on otherwise", async () => {
  await using test = await testScheduler({}, turnTokenizer);
  const system: ChatTurn = { role: "system", content: words(100, 9) };
  const [first] = await converse(test.scheduler, [20], {}, [system]);
  const other = [system, { role: "user" as const, content: words(30, 5) }];
  const { done } = await outcomeOf(test.scheduler, chat(other));
  assertEquals(first?.read, first?.prompt);
  // 70, 71, its words, 72, and the mark of the user's turn.
  assertEquals(done.usage.cachedTokens, 105);
});

Deno.test("short turns are read again with what follows: less than a step's worth", async () => {
  await using test = await testScheduler({}, turnTokenizer);
  const turns = await converse(test.scheduler, Array.from({ length: 8 }, () => 10));
  for (const [index, { prompt, read }] of turns.entries()) {
    const before = turns[index - 1]?.prompt ?? 0;
    assert(read - (prompt - before) < 64, `turn ${index} read ${read} of ${prompt}`);
  }
});

Deno.test("an evicted conversation shares what is not observed, and answers the same", async () => {
  const eviction = { policy: "snapkv(window=8)", budget: { tokens: 40 } };
  await using warm = await testScheduler({}, turnTokenizer);
  await using cold = await testScheduler({ cacheMemory: 0 }, turnTokenizer);
  const sizes = [90, 80, 70];
  const turns = await converse(warm.scheduler, sizes, { eviction });
  const [, , last] = turns;
  assert(last && last.read < last.prompt / 2 + 90, JSON.stringify(turns));
  const anew = await converse(cold.scheduler, sizes, { eviction });
  assertEquals(anew.map(({ answer }) => answer), turns.map(({ answer }) => answer));
});
