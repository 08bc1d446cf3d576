import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { expectedAttention } from "../../policies/expected_attention.ts";
import { OptionError } from "../../policies/policy.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { assertClose } from "../_close.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { newSequence, tinyModel } from "../_test_model.ts";
import { openGolden } from "../runtime/_golden_file.ts";
import { GOLDENS } from "./_golden.ts";

for (const name of GOLDENS) {
  for (const chunk of [29, 512]) {
    Deno.test(`expectedAttention() scores as the golden of ${name}, read ${chunk} at a time`, async () => {
      const golden = openGolden(name);
      const ids = golden.integers("input_ids");
      await using tiny = await tinyModel(name);
      const sequence = newSequence(tiny.model.engine);
      using _cache = sequence.cache;
      const { scores } = await readPrompt({
        engine: tiny.model.engine,
        sequence,
        ids,
        policy: expectedAttention(),
        budget: golden.settings.kept,
        facts: await tiny.model.facts(),
        chunk,
        scores: true,
        now: () => 0,
      });
      for (const [layer, ofLayer] of scores.entries()) {
        const expected = golden.floats(`expected_attention.scores.${layer}`);
        // The reference lifts the sinks above all others; here they are protected instead.
        const judged = (values: Float32Array) =>
          values.filter((_, index) => index % ids.length >= 4);
        assertClose(judged(ofLayer), judged(expected), { relative: 1e-3, absolute: 1e-6 });
      }
    });
  }
}

const layer = fakeLayer({
  ...{ heads: 2, kvHeads: 1, headDim: 2, length: 3 },
  values: new Float32Array([9, 9, 3, 4, 0, 2]),
  expected: {
    mean: new Float32Array([50, 0, Math.log(3), 50, 0, 0]),
    variance: new Float32Array([0, 2 * Math.log(3), 0, 0, 0, 0]),
  },
});

Deno.test("expectedAttention() averages the softmax of the group, times the values' norms", async () => {
  const policy = expectedAttention({ sinks: 1, covariance: false });
  const [sink, first = NaN, second = NaN] = await policy.score(layer);
  assertEquals(sink, 0);
  assertAlmostEquals(first, 5 * (1 / 4 + 1 / 2) / 2, 1e-6);
  assertAlmostEquals(second, 2 * (3 / 4 + 1 / 2) / 2, 1e-6);
});

Deno.test("expectedAttention() counts half of the variance, and what epsilon adds", async () => {
  const even = await expectedAttention({ sinks: 1, valueNorm: false }).score(layer);
  assertClose(even, [0, 0.5, 0.5], { absolute: 1e-6 });
  const raised = await expectedAttention({ sinks: 1, epsilon: 0.5 }).score(layer);
  assertClose(raised.slice(1), [5, 2], { absolute: 1e-6 });
});

Deno.test("expectedAttention() refuses options out of range", () => {
  assertThrows(
    () => expectedAttention({ futurePositions: 0 }),
    OptionError,
    "'futurePositions' must be an integer of at least 1, got 0",
  );
  assertThrows(() => expectedAttention({ epsilon: -1 }), OptionError, "'epsilon' must be a number");
  assertThrows(
    () => Reflect.apply(expectedAttention, undefined, [{ covariance: "yes" }]),
    OptionError,
    `'covariance' must be true or false, got "yes"`,
  );
});
