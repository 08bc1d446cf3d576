import { assertEquals, assertThrows } from "@std/assert";
import { adaKv } from "../../policies/ada_kv.ts";
import { compose } from "../../policies/compose.ts";
import { merge } from "../../policies/merge.ts";
import { OptionError } from "../../policies/policy.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { readFloats } from "../../runtime/checkpoint/safetensors.ts";
import { mergedValues } from "../../runtime/evict/merged_values.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { assertClose } from "../_close.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { fixture, newSequence, randomIds, tinyModel } from "../_test_model.ts";
import { openGolden } from "../runtime/_golden_file.ts";

const inner = snapKv({ window: 8, kernel: 5, pooling: "avg" });
const SETTINGS = [["all", 0, 1], ["some", 0.2, 0.5]] as const;

for (const name of ["tiny-llama", "tiny-mistral", "tiny-qwen2", "tiny-qwen3"]) {
  for (const [label, threshold, fraction] of SETTINGS) {
    Deno.test(`merge() leaves the values of the goldens on ${name} and decodes as they do (${label})`, async () => {
      await using test = await tinyModel(name);
      const { engine, config: { layers } } = test.model;
      const golden = openGolden(name);
      const path = fixture(`merge/${name}.safetensors`);
      const sequence = newSequence(engine);
      using cache = sequence.cache;
      await readPrompt({
        ...{ engine, sequence, ids: golden.integers("input_ids"), chunk: 37, now: () => 0 },
        ...{ policy: merge({ inner, threshold, fraction }), budget: golden.settings.kept },
        ...{ scores: false, facts: await test.model.facts() },
      });
      for (let layer = 0; layer < layers; layer++) {
        const values = cache.entries(layer).flatMap((head) => [...head.values]);
        const expected = readFloats(path, `${label}.values.${layer}`).data;
        assertClose(values, expected, { absolute: 1e-4 }, `values of layer ${layer}`);
      }
      const logits: number[] = [];
      for (const id of golden.integers("greedy").slice(0, 4)) {
        logits.push(...(await engine.advance(sequence, { ids: [id] })).logits);
      }
      const expected = readFloats(path, `${label}.decode_logits`).data;
      assertClose(logits, expected, { absolute: 1e-3 }, "decode_logits");
    });
  }
}

Deno.test("merge() by hand: a dropped value goes into the nearest kept one, opposite keys into none", async () => {
  const layer = fakeLayer({
    ...{ heads: 1, kvHeads: 1, headDim: 2, length: 4 },
    keys: new Float32Array([1, 0, 0, 1, 2, 0, -1, -1]),
    values: new Float32Array([4, 0, 0, 4, 0, 4, 9, 9]),
  });
  // Token 2 points as token 0 does: half of its value, by the lengths. Token 3 points away from both.
  const [values] = await mergedValues([layer], [Int32Array.of(0, 1)], {
    ...{ threshold: 0, fraction: 1 },
  });
  assertClose(values ?? [], [4 / 1.5, 2 / 1.5, 0, 4], { absolute: 1e-5 });
  const [none] = await mergedValues([layer], [Int32Array.of(0, 1)], { threshold: 0, fraction: 0 });
  assertEquals(none, new Float32Array([4, 0, 0, 4]));
});

Deno.test("merge() works where heads keep different numbers, while decoding and in forks", async () => {
  await using test = await tinyModel("tiny-llama");
  const policy = merge({ inner: adaKv({ inner }) });
  await using session = test.model.session({ policy, budget: 12 });
  await session.read({ ids: randomIds(50, test.model.config.vocabulary, 3) });
  await using copy = await session.fork();
  const answers: (readonly number[])[] = [];
  for (const one of [session, copy]) {
    const answer = one.generate({ maxTokens: 6 });
    for await (const _ of answer);
    answers.push(answer.ids);
  }
  assertEquals(answers[0], answers[1]);
});

Deno.test("merge() refuses itself inside, and compose() refuses it in a round", () => {
  assertThrows(() => merge({ inner: merge() }), OptionError, "it merges what it drops itself");
  assertThrows(() => compose({ inner: merge() }), OptionError, "wrap the whole");
  assertThrows(
    () => merge({ threshold: 2 }),
    OptionError,
    "'threshold' must be a number from 0 to 1",
  );
});
