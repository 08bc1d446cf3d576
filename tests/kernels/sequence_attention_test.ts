import { assertEquals } from "@std/assert";
import { rotaryRows } from "../../kernels/rope.ts";
import { createStepKernel, type PastLayer, type StepInputs } from "../../kernels/step.ts";
import { noise } from "../_close.ts";
import { fixture } from "../_test_model.ts";
import { describe } from "./_soft_case.ts";

const SEQUENCES = 5;

Deno.test("createStepKernel() in bytes gives each of several sequences the bits that it has alone", async () => {
  await using described = await describe(fixture("tiny-qwen3"), "int8");
  const { model, frequencies } = described;
  const { layers, kvHeads, headDim, vocabulary } = model;
  const width = kvHeads * headDim;
  await using kernel = await createStepKernel(model, 1, { sequences: SEQUENCES });
  const pastOf = (sequence: number): PastLayer[] =>
    layers.map((_, layer) => {
      const length = 7 + 5 * sequence;
      const [keys, values] = [layer, layer + 100].map((seed) =>
        noise(length * width, seed + 7 * sequence)
      );
      if (!keys || !values) throw new Error("there is no noise");
      const entries = length * kvHeads;
      // The last sequence's heads hold different numbers of tokens, with a gap between them.
      const segments = Array.from({ length: kvHeads }, (_, head) => ({
        start: Math.floor(entries / kvHeads) * head,
        length: Math.floor(entries / kvHeads) - 1 - head,
      }));
      return sequence === SEQUENCES - 1 ? { keys, values, segments } : { keys, values };
    });
  const pasts = Array.from({ length: SEQUENCES }, (_, sequence) => pastOf(sequence));
  const [table = new Float32Array(0)] = frequencies;
  const rotary = (sequence: number) => rotaryRows(table, 7 + 5 * sequence, 1);
  const step = (inputs: Pick<StepInputs, "ids" | "rotary" | "rows" | "past" | "others">) =>
    kernel.run(inputs);
  const alone = [];
  for (const [sequence, past] of pasts.entries()) {
    alone.push(
      await step({ ids: [3 + sequence], rotary: [rotary(sequence)], rows: [0], past }),
    );
  }
  for (let count = 2; count <= SEQUENCES; count++) {
    const some = pasts.slice(SEQUENCES - count);
    const first = SEQUENCES - count;
    const tables = some.map((_, index) => rotary(first + index));
    const [past = [], ...others] = some;
    const together = await step({
      ids: some.map((_, index) => 3 + first + index),
      rotary: [{
        cos: Float32Array.from(tables.flatMap(({ cos }) => [...cos])),
        sin: Float32Array.from(tables.flatMap(({ sin }) => [...sin])),
      }],
      rows: some.map((_, index) => index),
      past,
      others,
    });
    for (const index of some.keys()) {
      const expected = alone[first + index];
      const logits = together.logits.subarray(index * vocabulary, (index + 1) * vocabulary);
      assertEquals(logits, expected?.logits, `${count} sequences, ${index}`);
      for (const [layer, { keys, values }] of together.entries.entries()) {
        const row = (all: Float32Array) => all.subarray(index * width, (index + 1) * width);
        assertEquals(row(keys), expected?.entries[layer]?.keys);
        assertEquals(row(values), expected?.entries[layer]?.values);
      }
    }
  }
});
