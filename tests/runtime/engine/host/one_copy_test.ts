import { assert, assertEquals } from "@std/assert";
import { snapKv } from "../../../../policies/mod.ts";
import { emptySequence } from "../../../../runtime/engine/sequence.ts";
import type { WeightCopies } from "../../../../runtime/weights/weight_copies.ts";
import { noise } from "../../../_close.ts";
import { randomAdapters } from "../../../_random_adapters.ts";
import { fixture, testModel } from "../../../_test_model.ts";

const IDS = Array.from({ length: 80 }, (_, index) => 3 + (7 * index) % 90);

function distance(actual: Float32Array, expected: Float32Array): number {
  let [errors, squares] = [0, 0];
  for (const [index, value] of expected.entries()) {
    errors += (value - (actual[index] ?? NaN)) ** 2;
    squares += value ** 2;
  }
  return Math.sqrt(errors / squares);
}

for (const name of ["tiny-llama", "tiny-gemma3"]) {
  Deno.test(`a model of ${name} with one copy of its weights reads, evicts and answers as one with two`, async () => {
    const run = async (weightCopies: WeightCopies) => {
      await using loaded = await testModel(fixture(name), { precision: "int8", weightCopies });
      await using session = loaded.model.session({ policy: snapKv(), budget: { tokens: 56 } });
      const { logits } = await session.read({ ids: IDS });
      const { kept } = session.stats();
      return { logits: new Float32Array(logits), kept };
    };
    const [one, two] = [await run("one"), await run("two")];
    assertEquals(one.kept, two.kept);
    assert(distance(one.logits, two.logits) < 1e-3, String(distance(one.logits, two.logits)));
  });

  Deno.test(`a model of ${name} with one copy of its weights probes with adapters, and goes on without`, async () => {
    const run = async (weightCopies: WeightCopies) => {
      await using loaded = await testModel(fixture(name), { precision: "int8", weightCopies });
      const { engine, config } = loaded.model;
      using cache = engine.newCache();
      const sequence = emptySequence(cache);
      await engine.advance(sequence, { ids: IDS });
      const embeddings = noise(3 * config.hidden, 8);
      const probe = async (rank?: number) => {
        const adapters = rank === undefined ? {} : { adapters: randomAdapters(config, { rank }) };
        return new Float32Array((await engine.probe(sequence, { embeddings, ...adapters })).logits);
      };
      const before = await probe();
      const adapted = [await probe(2), await probe(3)];
      assertEquals(await probe(), before);
      return adapted;
    };
    const [one, two] = [await run("one"), await run("two")];
    for (const [index, logits] of two.entries()) {
      const error = distance(one[index] ?? new Float32Array(0), logits);
      assert(error < 2e-3, String(error));
    }
  });
}
