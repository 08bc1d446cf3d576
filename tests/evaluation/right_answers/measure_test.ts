import { assert, assertEquals, assertRejects } from "@std/assert";
import { makeCodes } from "../../../evaluation/right_answers/codes.ts";
import { isRight, messagesOf } from "../../../evaluation/right_answers/item.ts";
import { measureRightAnswers } from "../../../evaluation/right_answers/measure.ts";
import { parsePolicies } from "../../../evaluation/policy_list.ts";
import { BudgetError, PromptError } from "../../../runtime/errors.ts";
import { testModel } from "../../_test_model.ts";
import { testFolder, textModel } from "../../commands/_run_cli.ts";

const [first] = makeCodes({ items: 1, seed: 0, split: "test" });
assert(first);
// A short document: the random model reads bytes.
const item = { ...first, document: first.document.slice(0, 180), id: "short" };

Deno.test("measureRightAnswers() gives a session's answers, full and the oracle among them", async () => {
  using folder = testFolder();
  await using test = await testModel(await textModel(folder.path));
  const { model } = test;
  const policies = await parsePolicies("full,snapkv(window=8)");
  const answered = await measureRightAnswers({
    model,
    items: [item],
    places: ["end", "front"],
    policies,
    budgets: [{ label: "40", budget: 40 }, { label: "100%", budget: { ratio: 1 } }],
    answerTokens: 10,
  });
  assertEquals(answered.rows.map(({ question }) => question), ["end", "front"]);
  const kinds = answered.rows[0]?.answers.map(({ policy, budget }) => [policy, budget]);
  assertEquals(kinds, [
    ["full", null],
    ["snapkv(window=8)", "40"],
    ["snapkv(window=8)", "100%"],
    ["oracle", "40"],
    ["oracle", "100%"],
  ]);
  for (const { question, answers } of answered.rows) {
    for (const [at, policy, budget] of [[0, 0, 40], [1, 1, 40]] as const) {
      const named = policies[policy];
      assert(named);
      await using session = model.session({ policy: named.policy, budget });
      const prompt = { messages: messagesOf(item, question) };
      const own = session.generate(prompt, { maxTokens: 10 });
      for await (const _ of own);
      assertEquals(answers[at]?.text, own.text);
      assertEquals(answers[at]?.right, isRight(own.text, item.expected));
    }
    assertEquals(answers[2]?.text, answers[0]?.text);
    assertEquals(answers[4]?.text, answers[0]?.text);
  }
});

Deno.test("measureRightAnswers() counts right answers and sets them against full's", async () => {
  using folder = testFolder();
  await using test = await testModel(await textModel(folder.path));
  const { model } = test;
  const request = {
    model,
    places: ["end"],
    policies: await parsePolicies("snapkv(window=8)"),
    budgets: [{ label: "40", budget: 40 }],
    answerTokens: 10,
  } as const;
  const { rows } = await measureRightAnswers({ ...request, items: [item] });
  // A word of what full answers is made the expected answer, so that one of two answers is right.
  const text = rows[0]?.answers[0]?.text ?? "";
  const expected = text.match(/[\p{L}]+|\d+/u)?.[0];
  assert(expected !== undefined, `no word in ${JSON.stringify(text)}`);
  const { results } = await measureRightAnswers({
    ...request,
    items: [{ ...item, expected }, { ...item, expected: "1234567890" }],
  });
  const full = results.find(({ policy }) => policy === "full");
  assertEquals([full?.right, full?.total, full?.shareOfFull], [1, 2, 1]);
  for (const { right, shareOfFull } of results) assertEquals(shareOfFull, right);
  const none = await measureRightAnswers({
    ...request,
    items: [{ ...item, expected: "1234567890" }],
  });
  assertEquals(none.results.map(({ right, shareOfFull }) => [right, shareOfFull]), [
    [0, null],
    [0, null],
    [0, null],
  ]);
});

Deno.test("measureRightAnswers() refuses questions that the model's context cannot hold", async () => {
  using folder = testFolder();
  await using test = await testModel(await textModel(folder.path, 64));
  const request = {
    model: test.model,
    items: [item],
    places: ["end"],
    policies: [],
    budgets: [],
  } as const;
  await assertRejects(() => measureRightAnswers(request), PromptError, "the model's context of 64");
});

Deno.test("measureRightAnswers() keeps what a policy always keeps where a ratio is less", async () => {
  using folder = testFolder();
  await using test = await testModel(await textModel(folder.path));
  const request = {
    model: test.model,
    items: [item],
    places: ["end"],
    policies: await parsePolicies("snapkv,snapkv(window=8)"),
    answerTokens: 10,
  } as const;
  const ratio = { label: "10%", budget: { ratio: 0.1 } };
  const window = { label: "32", budget: 32 };
  const { rows: [row], results } = await measureRightAnswers({ ...request, budgets: [ratio] });
  const { tokens = 0, answers = [] } = row ?? {};
  assert(tokens * 0.1 >= 8 && tokens * 0.1 < 32, `${tokens} tokens`);
  assertEquals(
    results.map(({ policy, aboveBudget }) => [policy, aboveBudget]),
    [["full", 0], ["snapkv", 1], ["snapkv(window=8)", 0], ["oracle", 0]],
  );
  const inTokens = { ...request, policies: request.policies.slice(0, 1), budgets: [window] };
  const { rows: [kept] } = await measureRightAnswers(inTokens);
  assertEquals(answers[1]?.text, kept?.answers[1]?.text);
  const less = { ...request, budgets: [{ label: "20", budget: 20 }] };
  await assertRejects(() => measureRightAnswers(less), BudgetError, "always keeps 32");
});
