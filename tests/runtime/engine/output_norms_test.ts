import { assert, assertEquals } from "@std/assert";
import { outputNorms } from "../../../plugins/conformance/output_norms.ts";
import { readRows } from "../../../runtime/checkpoint/read_rows.ts";
import { layerView } from "../../../runtime/engine/host/host_view.ts";
import { hostViews } from "../../../runtime/engine/host/host_view.ts";
import {
  newSequence,
  randomIds,
  randomTestModel,
  type TestModel,
  TINY,
  tinyModel,
} from "../../_test_model.ts";

async function assertNorms({ model, checkpoint }: TestModel): Promise<void> {
  const { engine, config } = model;
  const { heads, kvHeads, headDim } = config;
  const sequence = newSequence(engine);
  using cache = sequence.cache;
  await engine.advance(sequence, { ids: randomIds(20, config.vocabulary) });
  for (let layer = 0; layer < config.layers; layer++) {
    const tensor = checkpoint.tensors.get(`model.layers.${layer}.self_attn.o_proj.weight`);
    assert(tensor);
    const output = readRows(tensor);
    const expected = outputNorms({ values: cache.values(layer), output, heads, kvHeads, headDim });
    assertNear(await layerView(cache, engine, layer, {}).outputNorms(), expected);
    const kept = Array.from(
      { length: kvHeads },
      (_, head) => Int32Array.from({ length: 12 - head }, (_, index) => index + head),
    );
    cache.compact(layer, kept);
    const views = hostViews(cache, engine, layer, {});
    for (const [head, view] of views.entries()) {
      const indices = kept[head] ?? [];
      const ofHead = Float32Array.from(indices, (token) => expected[head * 20 + token] ?? NaN);
      assertNear((await view.outputNorms()).subarray(0, ofHead.length), ofHead);
    }
  }
}

function assertNear(got: Float32Array, expected: Float32Array): void {
  assertEquals(got.length, expected.length);
  for (const [index, value] of got.entries()) {
    const wanted = expected[index] ?? NaN;
    assert(Math.abs(value - wanted) <= 1e-4 * wanted + 1e-9, `${index}: ${value}, not ${wanted}`);
  }
}

Deno.test("outputNorms() of a layer equals the plain computation, of ragged heads too", async () => {
  for (const name of TINY) {
    await using tiny = await tinyModel(name);
    await assertNorms(tiny);
  }
});

Deno.test("outputNorms() reads weights that are quantised", async () => {
  await using quantised = await randomTestModel(
    { family: "llama", heads: 4, kvHeads: 2 },
    { gguf: { type: "Q4_1" }, precision: "int4" },
  );
  await assertNorms(quantised);
});
