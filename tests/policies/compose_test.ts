import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { loadPolicy } from "../../plugins/load_policy.ts";
import { compose } from "../../policies/compose.ts";
import { full } from "../../policies/full.ts";
import { h2o } from "../../policies/h2o.ts";
import { knorm } from "../../policies/knorm.ts";
import { OptionError, type Policy } from "../../policies/policy.ts";
import { pyramidKv } from "../../policies/pyramidkv.ts";
import { rerotate } from "../../policies/rerotate.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { streamingLlm } from "../../policies/streaming_llm.ts";
import { tova } from "../../policies/tova.ts";
import { whileDecoding } from "../../policies/while_decoding.ts";
import type { Model } from "../../runtime/model.ts";
import type { Budget } from "../../runtime/evict/budget.ts";
import { BudgetError } from "../../runtime/errors.ts";
import { randomIds, tinyModel } from "../_test_model.ts";

const IDS = randomIds(80, 320);

async function readWith({ session }: Model, policy: Policy, budget: Budget, scores = false) {
  await using one = session({ policy, budget });
  return await one.read({ ids: IDS }, { scores });
}

Deno.test("compose() keeps what the second policy likes best of what the first one left", async () => {
  await using test = await tinyModel("tiny-llama31");
  const { model } = test;
  const inner = streamingLlm({ sinks: 4 });
  for (const second of [tova(), h2o({ recent: 4 }), snapKv({ window: 4, kernel: 3 })]) {
    const { kept } = await readWith(model, compose({ inner, second, factor: 2 }), 16);
    const left = new Set([0, 1, 2, 3, ...Array.from({ length: 28 }, (_, index) => 52 + index)]);
    const { scores } = await readWith(model, second, 16, true);
    const { protect = {} } = second;
    const { sinks = 0, recent = 0 } = typeof protect === "function"
      ? await protect(16, 32)
      : protect;
    for (const [layer, heads] of kept.entries()) {
      for (const [head, indices] of heads.entries()) {
        assertEquals(indices.length, 16);
        const score = (token: number) => (scores[layer] ?? [])[head * IDS.length + token] ?? 0;
        const rest = [...left].filter((token) => token >= sinks && token < 80 - (recent || 0));
        const best = rest.sort((a, b) => score(b) - score(a)).slice(0, 16 - sinks - recent);
        const certain = [...left].filter((token) => token >= 80 - recent);
        // Scores are pooled over the tokens before any is dropped or after: ranks are equal without.
        if (second.name === "snapkv") assert([...indices].every((token) => left.has(token)));
        else assertEquals([...indices], [...best, ...certain].sort((a, b) => a - b));
      }
    }
  }
});

Deno.test("compose() gives the first policy tokens of its own, and evidence of its own", async () => {
  await using test = await tinyModel("tiny-qwen2");
  const { model } = test;
  const first = await readWith(model, knorm(), 40);
  const { kept } = await readWith(
    model,
    compose({ inner: knorm(), second: tova(), tokens: 40 }),
    12,
  );
  const alone = await readWith(model, tova(), 12);
  let differs = false;
  for (const [layer, heads] of kept.entries()) {
    for (const [head, indices] of heads.entries()) {
      const left = new Set(first.kept[layer]?.[head]);
      assert([...indices].every((token) => left.has(token)));
      const free = alone.kept[layer]?.[head];
      differs ||= indices.some((token, at) => token !== free?.[at]);
    }
  }
  assert(differs, "the first policy took nothing");
});

Deno.test("compose() of a policy with itself is that policy, and with everything left the second one", async () => {
  await using test = await tinyModel("tiny-mistral");
  const { model } = test;
  const twice = await readWith(model, compose({ inner: tova(), second: tova() }), 20);
  assertEquals(twice.kept, (await readWith(model, tova(), 20)).kept);
  const whole = await readWith(model, compose({ inner: knorm(), second: tova(), tokens: 999 }), 20);
  assertEquals(whole.kept, (await readWith(model, tova(), 20)).kept);
});

Deno.test("compose() nests in first place, under wrappers and with allocators", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const two = compose({ inner: streamingLlm(), second: knorm(), factor: 1.5 });
  const three = compose({ inner: two, second: tova() });
  const sum = (kept: readonly (readonly Int32Array[])[]) =>
    kept.map((heads) => heads.map(({ length }) => length).reduce((a, b) => a + b, 0));
  const { kvHeads } = model.config;
  for (const policy of [three, rerotate({ inner: three }), whileDecoding({ inner: two })]) {
    const { kept } = await readWith(model, policy, 16);
    assertEquals(sum(kept), kept.map(() => 16 * kvHeads));
  }
  const pyramids = [
    compose({ inner: knorm(), second: pyramidKv({ window: 4 }) }),
    compose({ inner: pyramidKv({ window: 4 }), second: knorm() }),
  ];
  for (const policy of pyramids) {
    const { kept } = await readWith(model, policy, 16);
    assertEquals(sum(kept).reduce((a, b) => a + b, 0), 16 * kvHeads * kept.length);
  }
});

Deno.test("compose() is written with both policies side by side", async () => {
  await using loaded = await loadPolicy(
    "compose(streaming_llm(sinks=2), snapkv(window=8), factor=3)",
  );
  const { policy } = loaded;
  assertEquals(policy.options, {
    inner: "streaming_llm(sinks=2)",
    second: "snapkv(window=8,kernel=7,pooling=max)",
    factor: 3,
  });
  await assertRejects(
    () => loadPolicy("chunk_kv(snapkv, tova)"),
    OptionError,
    `Cannot read "tova" as an option of 'chunk_kv'`,
  );
  await assertRejects(
    () => loadPolicy("compose(snapkv, tova, second=3)"),
    OptionError,
    "Cannot give option 'second' of 'compose' twice",
  );
});

Deno.test("compose() refuses what makes no sense", async () => {
  const refused = (options: object, message: string) =>
    assertThrows(() => Reflect.apply(compose, undefined, [options]), OptionError, message);
  refused({ inner: full() }, "'inner' must be a policy that scores and evicts");
  refused({ factor: 0.5 }, "'factor' must be a number of at least 1, got 0.5");
  refused({ tokens: 0 }, "'tokens' must be an integer of at least 1, got 0");
  refused({ tokens: 10, factor: 2 }, "give 'factor' or 'tokens', not both");
  refused({ inner: whileDecoding() }, "Cannot use 'while_decoding' in 'compose'");
  refused({ second: rerotate() }, "wrap the whole, as in rerotate(compose(…))");
  refused({ second: compose() }, "they go in first place");
  await using test = await tinyModel("tiny-llama");
  await assertRejects(
    () => readWith(test.model, compose({ inner: knorm(), second: tova(), tokens: 10 }), 16),
    BudgetError,
    "Cannot evict to 16 tokens with policy 'compose': 'knorm' is to leave 10 before",
  );
});
