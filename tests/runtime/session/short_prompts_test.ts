import { assert, assertEquals, assertRejects } from "@std/assert";
import { pyramid } from "../../../policies/pyramid.ts";
import { registry } from "../../../policies/registry.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { streamingLlm } from "../../../policies/streaming_llm.ts";
import { BudgetError } from "../../../runtime/errors.ts";
import { smallPolicies } from "../../_small_policies.ts";
import { randomIds, tinyModel } from "../../_test_model.ts";

const BUDGET = { ratio: 0.1 };

Deno.test("every policy keeps something of a prompt of one token or a few at a ratio of 10 %", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const ids = randomIds(40, model.config.vocabulary);
  const asTheyAre = await Promise.all(
    Object.values(registry).map(async ({ load }) => (await load()).default()),
  );
  const small = (await smallPolicies()).map(({ policy }) => policy);
  for (const policy of [...asTheyAre, ...small]) {
    await using session = model.session({ policy, budget: BUDGET });
    for (const length of [1, 2, 3, 7, 13]) {
      const what = `${policy.name} of ${length}`;
      const { kept, logits } = await session.read({ ids: ids.slice(0, length) });
      for (const { length: count } of kept.flat()) {
        assert(count >= 1 && count <= length, `${what} kept ${count}`);
      }
      assert(logits.every(Number.isFinite), what);
      const answer = session.generate({ maxTokens: 3, temperature: 1 });
      await Array.fromAsync(answer);
      assert(answer.ids.length > 0 || answer.finishReason === "stop", what);
    }
  }
});

Deno.test("a ratio that comes to less than is protected keeps that, and says so", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const ids = randomIds(60, model.config.vocabulary);
  const counts = [snapKv({ window: 32 }), pyramid({ inner: snapKv({ window: 32 }) })];
  for (const policy of counts) {
    await using session = model.session({ policy, budget: BUDGET });
    const whole = await session.read({ ids: ids.slice(0, 31) });
    assertEquals(new Set(whole.kept.flat().map(({ length }) => length)), new Set([31]));
    assertEquals(session.stats().notes, [
      "nothing was evicted: what the policy and the session always keep is all of the prompt's 31 " +
      "tokens",
    ]);
    const cut = await session.read({ ids });
    assertEquals(
      cut.kept.flat().map((kept) => [...kept]),
      cut.kept.flat().map(() => Array.from({ length: 32 }, (_, index) => index + 28)),
    );
    assertEquals(session.stats().notes, [
      `the budget's ratio came to fewer tokens than ${policy.name} always keeps: those were kept`,
    ]);
  }
});

Deno.test("what is protected by the session stays beside what the policy protects", async () => {
  await using test = await tinyModel("tiny-llama");
  const ids = randomIds(60, test.model.config.vocabulary);
  const policy = streamingLlm({ sinks: 4 });
  await using session = test.model.session({ policy, budget: BUDGET });
  const { kept } = await session.read({ ids }, { protect: [{ from: 20, to: 25 }] });
  assertEquals([...kept[0]?.[0] ?? []], [0, 1, 2, 3, 20, 21, 22, 23, 24]);
});

Deno.test("a budget in tokens or bytes that cannot hold what is protected is refused still", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const ids = randomIds(60, model.config.vocabulary);
  for (const budget of [{ tokens: 16 }, [0.5, 16, 0.5], { bytes: 20_000 }]) {
    await using session = model.session({ policy: snapKv({ window: 32 }), budget });
    await assertRejects(() => session.read({ ids }), BudgetError, "always keeps 32");
  }
});
