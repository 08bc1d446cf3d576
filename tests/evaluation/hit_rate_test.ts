import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { measureHitRates } from "../../evaluation/hit_rate.ts";
import { parsePolicies } from "../../evaluation/policy_list.ts";
import { BudgetError, PromptError } from "../../runtime/errors.ts";
import { openGolden } from "../runtime/_golden_file.ts";
import { randomIds, tinyModel } from "../_test_model.ts";

const NAME = "tiny-llama31";

const golden = openGolden(NAME);
const ids = golden.integers("input_ids");
const { kept: budget, layers, heads, kv_heads: kvHeads, tokens } = golden.settings;
const response = { ids: golden.integers("judge_q.response") };

/** Hit rate and mass of the golden's kept tokens, by the definition, in plain arithmetic. */
function expected(policy: string): { readonly hitRate: number; readonly mass: number } {
  const attention = golden.floats("judge_q.attention_response");
  let [hitRate, mass] = [0, 0];
  for (let layer = 0; layer < layers; layer++) {
    for (const [head, kept] of golden.kept(policy, layer).entries()) {
      const group = heads / kvHeads;
      const scores = Array.from({ length: tokens }, (_, token) => {
        let sum = 0;
        for (let one = head * group; one < (head + 1) * group; one++) {
          sum += attention[(layer * heads + one) * tokens + token] ?? NaN;
        }
        return sum / group;
      });
      const order = scores.map((_, token) => token)
        .sort((a, b) => (scores[b] ?? NaN) - (scores[a] ?? NaN) || a - b);
      const reference = new Set(order.slice(0, budget));
      const of = (tokens: readonly number[]) =>
        tokens.reduce((sum, token) => sum + (scores[token] ?? NaN), 0);
      hitRate += kept.filter((token) => reference.has(token)).length / budget;
      mass += of(kept) / of(order);
    }
  }
  return { hitRate: hitRate / (layers * kvHeads), mass: mass / (layers * kvHeads) };
}

Deno.test("measureHitRates() gives what the definition gives for the golden's kept tokens", async () => {
  await using tiny = await tinyModel(NAME);
  const policies = await parsePolicies(
    "snapkv(window=8,kernel=5,pooling=avg),h2o(recent=0,normalize=visible),oracle",
  );
  const { results, rows, localShares } = await measureHitRates({
    model: tiny.model,
    prompts: [{ line: 1, prompt: { ids }, response }],
    policies,
    budgets: [{ label: "kept", budget }],
  });
  for (const [at, name] of ["snapkv", "h2o"].entries()) {
    const { hitRate, mass } = expected(name);
    assert(hitRate > 0.2 && hitRate < 1);
    assertAlmostEquals(results[at]?.hitRate.mean ?? NaN, hitRate, 1e-6);
    assertAlmostEquals(results[at]?.attentionMass.mean ?? NaN, mass, 1e-4);
  }
  assertEquals(results[2]?.hitRate, { mean: 1, interval: null, n: 1 });
  assertEquals(rows[0]?.answerTokens, response.ids.length);
  assertEquals(localShares.map(({ policy }) => policy), [
    "response",
    ...policies.map(({ label }) => label),
  ]);
  const [answer, , , oracle] = localShares.map(({ share }) => share.mean);
  assert(answer !== null && answer !== undefined && answer > 0 && answer < 1);
  assertEquals(oracle, answer);
});

Deno.test("measureHitRates() leaves covered prompts out of a budget and skips unreadable ones", async () => {
  await using tiny = await tinyModel(NAME);
  const { model } = tiny;
  const { vocabulary, context } = model.config;
  const long = Array.from({ length: context }, (_, at) => 2 + at % 50);
  const progress: number[][] = [];
  const { results, rows, skipped } = await measureHitRates({
    model,
    prompts: [
      { line: 1, prompt: { ids: randomIds(30, vocabulary, 1) } },
      { line: 2, prompt: { ids: randomIds(60, vocabulary, 2) } },
      { line: 4, prompt: { ids: long } },
      { line: 5, prompt: { ids: [vocabulary] } },
    ],
    policies: await parsePolicies("random"),
    budgets: [{ label: "10", budget: 10 }, { label: "40", budget: 40 }],
    responseTokens: 8,
    onProgress: (done, total) => progress.push([done, total]),
  });
  assertEquals(rows.map(({ line, tokens }) => [line, tokens]), [[1, 30], [2, 60]]);
  assertEquals(results.map(({ hitRate, leftOut }) => [hitRate.n, leftOut]), [[2, 0], [1, 1]]);
  assertEquals(rows[0]?.hits[1], {
    policy: "random",
    budget: "40",
    hitRate: null,
    attentionMass: null,
    byHead: null,
  });
  const byHead = results[0]?.byHead.flat() ?? [];
  assertAlmostEquals(
    byHead.reduce((sum, rate) => sum + rate / byHead.length, 0),
    results[0]?.hitRate.mean ?? NaN,
    1e-12,
  );
  assertEquals(skipped, [
    {
      line: 4,
      reason: `prompt and answer take ${context + 8} tokens, the model's context is ${context}`,
    },
    { line: 5, reason: `there is no token ${vocabulary}: ids go to ${vocabulary - 1}` },
  ]);
  assertEquals(progress, [[1, 4], [2, 4], [3, 4], [4, 4]]);
});

Deno.test("measureHitRates() refuses prompts of which the model can read none", async () => {
  await using tiny = await tinyModel(NAME);
  const { model } = tiny;
  const ids = [model.config.vocabulary];
  const request = {
    model,
    prompts: [{ line: 3, prompt: { ids } }],
    policies: [],
    budgets: [],
  };
  await assertRejects(() => measureHitRates(request), PromptError, "line 3: there is no token");
});

Deno.test("measureHitRates() refuses a budget below what a policy protects", async () => {
  await using tiny = await tinyModel(NAME);
  const policies = await parsePolicies("snapkv");
  const budgets = [{ label: "16", budget: 16 }];
  const prompts = [{ line: 1, prompt: { ids }, response }];
  const request = { model: tiny.model, prompts, policies, budgets };
  await assertRejects(() => measureHitRates(request), BudgetError, "always keeps 32");
});

Deno.test("measureHitRates() leaves prompts out of which a policy always keeps more than a ratio", async () => {
  await using tiny = await tinyModel(NAME);
  const policies = await parsePolicies("snapkv,snapkv(window=4)");
  const budgets = [{ label: "25%", budget: { ratio: 0.25 } }];
  const prompts = [
    { line: 1, prompt: { ids: ids.slice(0, 40) }, response },
    { line: 2, prompt: { ids: randomIds(160, tiny.model.config.vocabulary) }, response },
  ];
  const { rows, results } = await measureHitRates({
    model: tiny.model,
    prompts,
    policies,
    budgets,
  });
  const measured = rows.map(({ hits }) => hits.map(({ hitRate }) => hitRate !== null));
  assertEquals(measured, [[false, true], [true, true]]);
  assertEquals(results.map(({ leftOut }) => leftOut), [1, 0]);
  assertEquals(results[0]?.hitRate.mean, rows[1]?.hits[0]?.hitRate);
});
