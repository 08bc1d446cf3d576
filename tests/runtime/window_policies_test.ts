import { assert, assertEquals } from "@std/assert";
import { judgeQ } from "../../policies/judge_q.ts";
import { smallPolicies } from "../_small_policies.ts";
import { assertClose } from "../_close.ts";
import { tinyModel } from "../_test_model.ts";
import { openWindowSession, WINDOW_MODELS, windowModel } from "../_window_models.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { randomIds } from "../_test_model.ts";
import { bytesPerToken, slidingBytes } from "../../runtime/cache/bytes_per_token.ts";
import { cacheShapeOf } from "../../runtime/engine/engine.ts";
import { openGolden } from "./_golden_file.ts";
import { checkJudges, checkKept, GOLDEN_POLICIES } from "./_golden_policies.ts";

Deno.test("six policies keep of tiny-gemma3's global layers what the goldens keep", async () => {
  const golden = openGolden("tiny-gemma3");
  await using test = await tinyModel("tiny-gemma3");
  const known = golden.settings.policies ?? {};
  assertEquals(Object.keys(known).length, 6);
  for (const policy of GOLDEN_POLICIES) {
    const held = known[policy.name]?.held;
    if (!held) continue;
    const { kept } = await checkKept(test.model, golden, policy);
    assertEquals(kept.map(([first]) => first?.length), [...held], policy.name);
  }
});

Deno.test("soft tokens and answers see the golden attention of tiny-gemma3's global layers, and Judge Q keeps by it", async () => {
  const golden = openGolden("tiny-gemma3");
  await using test = await tinyModel("tiny-gemma3");
  const { model } = test;
  const { hidden } = model.config;
  await checkJudges(golden, hidden, (options) => model.session(options));
  const embeddings = golden.floats("judge_q.soft");
  const softTokens = { count: embeddings.length / hidden, hidden, embeddings, trained: true };
  const policy = judgeQ({
    ...{ softTokens, window: 0, kernel: 1 },
    ...{ draft: 0, group: "mean", share: "head" },
  });
  await using session = model.session({ policy, budget: golden.settings.kept });
  const { scores } = await session.read({ ids: golden.integers("input_ids") }, { scores: true });
  const { heads, tokens } = golden.settings;
  const attention = golden.floats("judge_q.attention_soft");
  for (const [index, layer] of globalLayers(model.config).entries()) {
    const ofLayer = attention.subarray(index * heads * tokens, (index + 1) * heads * tokens);
    const mean = Float32Array.from({ length: tokens }, (_, token) => {
      let sum = 0;
      for (let head = 0; head < heads; head++) sum += ofLayer[head * tokens + token] ?? NaN;
      return sum / heads;
    });
    assertClose(scores[layer] ?? [], mean, { absolute: 1e-5 }, `scores of layer ${layer}`);
  }
});

for (const name of [...WINDOW_MODELS, "tiny-smollm3", "tiny-gemma3-odd"]) {
  Deno.test(`every policy and wrapper evicts ${name} in its global layers, whatever the chunks`, async () => {
    await using test = await windowModel(name);
    const { model } = test;
    const { kvHeads } = model.config;
    const globals = globalLayers(model.config);
    const ids = randomIds(110, model.config.vocabulary, 4);
    for (const { name: policyName, policy } of await smallPolicies()) {
      const read = async (chunk: number) => {
        await using session = openWindowSession(model, { policy, budget: 24, chunk });
        const reading = await session.read({ ids });
        const { held, bytes } = session.stats();
        return { ...reading, held, bytes };
      };
      const whole = await read(512);
      const kept = globals.map((layer) =>
        (whole.kept[layer] ?? []).reduce((sum, { length }) => sum + length, 0)
      );
      // Layers and heads may differ, all of them together do not.
      const budget = policy.evicts === false ? ids.length : 24;
      const total = kept.reduce((sum, count) => sum + count, 0);
      // Soft tokens that stay are of the budget, and not among what was kept.
      const soft = policy.restores ? 8 : 0;
      assertEquals(total, globals.length * kvHeads * (budget - soft), policyName);
      for (const [layer, { window }] of model.config.layerKinds.entries()) {
        if (window !== undefined) assertEquals(whole.held[layer], window - 1, policyName);
      }
      const shape = cacheShapeOf(model.engine);
      const most = slidingBytes(shape, Infinity) + budget * bytesPerToken(shape);
      assert(
        whole.bytes.after <= most,
        `${policyName} takes ${whole.bytes.after} of ${most} bytes`,
      );
      for (const chunk of [1, 31, 32, 33]) {
        const parts = await read(chunk);
        assertClose(parts.logits, whole.logits, { absolute: 1e-3 }, `${policyName}, ${chunk}`);
        // What chunks decide: how an observed step is rounded, which may turn a near tie.
        const different = globals.flatMap((layer) =>
          (whole.kept[layer] ?? []).flatMap((indices, head) => {
            const other = new Set(parts.kept[layer]?.[head]);
            return [...indices].filter((index) => !other.has(index));
          })
        );
        assert(different.length <= 1, `${policyName}, chunks of ${chunk}: ${different}`);
      }
    }
  });
}
