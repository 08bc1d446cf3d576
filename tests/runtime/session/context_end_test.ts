import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { full } from "../../../policies/full.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { PromptError } from "../../../runtime/errors.ts";
import { randomIds, randomTestModel } from "../../_test_model.ts";

const CONTEXT = 64;

Deno.test("prompts about as long as the context are answered or refused, and a cut answer says why", async () => {
  await using test = await randomTestModel({ context: CONTEXT, vocabulary: 200, eosIds: [] });
  const ids = randomIds(CONTEXT + 1, 200);
  for (const policy of [full(), snapKv({ window: 8 })]) {
    await using session = test.model.session({ policy, budget: 80 });
    for (const length of [CONTEXT, CONTEXT + 1]) {
      const error = assertThrows(
        () => session.generate({ ids: ids.slice(0, length) }, { maxTokens: 9 }),
        PromptError,
      );
      assertMatch(
        error.message,
        new RegExp(
          `of ${length} tokens: the model's context is ${CONTEXT} tokens and the answer needs`,
        ),
      );
      assertEquals(error.message.includes("'policy'"), policy.evicts === false);
    }
    for (const [length, made] of [[CONTEXT - 1, 2], [CONTEXT - 2, 3]] as const) {
      const answer = session.generate({ ids: ids.slice(0, length) }, { maxTokens: 9 });
      await Array.fromAsync(answer);
      // The last token that is drawn is held nowhere.
      assertEquals([answer.ids.length, answer.finishReason], [made, "length"], policy.name);
      assertMatch(
        session.stats().notes.join("\n"),
        /an answer ended where the model's context was full: /,
      );
    }
  }
});

Deno.test("an answer that the context has room for ends at maxTokens, and notes nothing", async () => {
  await using test = await randomTestModel({ context: CONTEXT, vocabulary: 200, eosIds: [] });
  await using session = test.model.session({ policy: full() });
  const answer = session.generate({ ids: randomIds(CONTEXT - 3, 200) }, { maxTokens: 4 });
  await Array.fromAsync(answer);
  assertEquals([answer.ids.length, answer.finishReason], [4, "length"]);
  assertEquals(session.stats().notes, []);
});
