import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { rotaryRows } from "../../kernels/rope.ts";
import { createStepKernel, type PastLayer } from "../../kernels/step.ts";
import type { WeightCopies } from "../../kernels/step_graph.ts";
import { assertClose, noise } from "../_close.ts";
import { fixture } from "../_test_model.ts";
import { describe } from "./_soft_case.ts";

const PAST = 9;

for (const name of ["tiny-qwen3", "tiny-gemma3", "tiny-mistral-window"]) {
  for (const copies of ["two", "one"] satisfies WeightCopies[]) {
    for (const ragged of [false, true]) {
      const heads = ragged ? "ragged heads" : "heads of one length";
      Deno.test(`rounded steps of ${name} behind ${heads}, with ${copies} of each weight, are close to exact ones`, async () => {
        await using described = await describe(fixture(name), "int8");
        const { model, frequencies } = described;
        const { layers, layerKinds, kvHeads, headDim } = model;
        const width = kvHeads * headDim;
        await using kernel = await createStepKernel(model, 1, { copies });
        const past = layers.map((_, layer): PastLayer => {
          const window = layerKinds[layer]?.window;
          const held = window === undefined ? PAST : Math.min(PAST, window - 1);
          const keys = noise(held * width, layer + 1);
          const values = noise(held * width, layer + 51);
          if (!ragged || window !== undefined) return { keys, values };
          const segments = Array.from(
            { length: kvHeads },
            (_, head) => ({ start: head * PAST, length: PAST - head }),
          );
          return { keys, values, segments };
        });
        const run = (tokens: number, rounded: boolean, observe: boolean) =>
          kernel.run({
            ids: Array.from({ length: tokens }, (_, index) => 3 + index),
            rotary: frequencies.map((table) => rotaryRows(table, PAST, tokens)),
            rows: [tokens - 1],
            past,
            ...{ rounded, observe, queries: true },
          });
        for (const tokens of [1, 2, 7, 48]) {
          for (const observe of [true, false]) {
            if (tokens === 1 && !observe) continue;
            const what = `${tokens} tokens${observe ? ", observed" : ""}`;
            const [exact, rounded] = [
              await run(tokens, false, observe),
              await run(tokens, true, observe),
            ];
            assertNotEquals(rounded.logits, exact.logits, what);
            assertClose(rounded.logits, exact.logits, { absolute: 0.4 }, what);
            assertEquals(rounded.attentionSums.length, exact.attentionSums.length);
            for (const [index, sums] of rounded.attentionSums.entries()) {
              assertEquals(sums.length, exact.attentionSums[index]?.length);
              const total = (all: Float32Array = sums) => all.reduce((sum, one) => sum + one, 0);
              // Each query head gives every new token's attention away.
              assertClose([total()], [total(exact.attentionSums[index])], { absolute: 1e-3 }, what);
            }
          }
        }
        // Above that, unpacking pays.
        assertEquals((await run(49, true, true)).logits, (await run(49, false, true)).logits);
      });
    }
  }
}

Deno.test("rounded steps of float weights are exact", async () => {
  await using described = await describe(fixture("tiny-qwen3"), "fp32");
  const { model, frequencies } = described;
  await using kernel = await createStepKernel(model, 1);
  const past = model.layers.map((_, layer) => ({
    keys: noise(4 * model.kvHeads * model.headDim, layer),
    values: noise(4 * model.kvHeads * model.headDim, layer + 9),
  }));
  const run = (rounded: boolean) =>
    kernel.run({
      ids: [5, 6, 7],
      rotary: frequencies.map((table) => rotaryRows(table, 4, 3)),
      rows: [2],
      past,
      ...{ rounded, observe: true },
    });
  const [exact, rounded] = [await run(false), await run(true)];
  assertClose(rounded.logits, exact.logits, { absolute: 1e-5 });
  assert(exact.attentionSums.length > 0);
  for (const [index, sums] of exact.attentionSums.entries()) {
    assertClose(rounded.attentionSums[index] ?? [], sums, { absolute: 1e-5 });
  }
});
