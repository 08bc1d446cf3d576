import { assert, assertEquals, assertRejects } from "@std/assert";
import { outputNorms } from "../../../plugins/conformance/output_norms.ts";
import type { LayerView } from "../../../policies/policy.ts";
import { readRows } from "../../../runtime/checkpoint/read_rows.ts";
import { layerView } from "../../../runtime/engine/host/host_view.ts";
import { hostViews } from "../../../runtime/engine/host/host_view.ts";
import { PolicyError } from "../../../runtime/errors.ts";
import { topK } from "../../../runtime/evict/top_k.ts";
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
    const view = layerView(cache, engine, layer, {});
    assertNear(await view.outputNorms(), expected);
    await assertWanted(view);
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
      await assertWanted(view);
    }
  }
}

/** That the largest products are known where only they are wanted. */
async function assertWanted(view: LayerView): Promise<void> {
  const { kvHeads, length } = view;
  const weights = Float32Array.from({ length: kvHeads * length }, (_, at) => (7 * at) % 11);
  const all = await view.outputNorms();
  const some = await view.outputNorms({ weights, counts: new Array(kvHeads).fill(3) });
  for (let head = 0; head < kvHeads; head++) {
    const best = (norms: Float32Array) => {
      const products = norms.map((norm, at) => norm * (weights[at] ?? NaN));
      return topK(products.subarray(head * length, (head + 1) * length), 3);
    };
    assertEquals(best(some), best(all));
    for (const token of best(all)) {
      const at = head * length + token;
      assertNear(some.subarray(at, at + 1), all.subarray(at, at + 1));
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

Deno.test("outputNorms() refuses wishes that are none", async () => {
  await using tiny = await tinyModel("tiny-llama");
  const { engine, config } = tiny.model;
  const sequence = newSequence(engine);
  using cache = sequence.cache;
  await engine.advance(sequence, { ids: randomIds(20, config.vocabulary) });
  const view = layerView(cache, engine, 0, {});
  const weights = new Float32Array(view.kvHeads * 20);
  const counts = new Array<number>(view.kvHeads).fill(1);
  for (
    const wanted of [
      { weights: weights.subarray(1), counts },
      { weights, counts: counts.slice(1) },
      { weights, counts: counts.map(() => -1) },
      { weights, counts: counts.map(() => 0.5) },
    ]
  ) {
    await assertRejects(() => view.outputNorms(wanted), PolicyError, "2 × 20 numbers and");
  }
});

Deno.test("outputNorms() reads weights that are quantised", async () => {
  await using quantised = await randomTestModel(
    { family: "llama", heads: 4, kvHeads: 2 },
    { gguf: { type: "Q4_1" }, precision: "int4" },
  );
  await assertNorms(quantised);
});
