import { assertEquals, assertRejects } from "@std/assert";
import { CheckpointError } from "../../../runtime/errors.ts";
import { inspectModel } from "../../../runtime/models/inspect_model.ts";
import { fixture, tinyModel } from "../../_test_model.ts";
import { newSequence } from "../../_test_model.ts";
import { patchGguf } from "../../_patch_gguf.ts";
import { writeGguf } from "../../_random_checkpoint.ts";
import { withFolder } from "../../_temp_folder.ts";

Deno.test("pitfall 1, expanded heads: inspectModel() counts a token's cache in KV heads, as it is allocated", async () => {
  const { cacheBytesPerToken = 0 } = await inspectModel(fixture("tiny-llama"));
  await using test = await tinyModel("tiny-llama");
  const sequence = newSequence(test.model.engine);
  using cache = sequence.cache;
  await test.model.engine.advance(sequence, { ids: [1, 2, 3, 4], rows: [] });
  const held = [0, 1, 2].reduce(
    (sum, layer) => sum + cache.keys(layer).byteLength + cache.values(layer).byteLength,
    0,
  );
  assertEquals(held, 4 * cacheBytesPerToken);
});

Deno.test("inspectModel() sums types and says how each is held", async () => {
  const { types, holdings, parameters, tensors } = await inspectModel(
    fixture("gguf/tiny-q4_k_m.gguf"),
  );
  assertEquals(types.map(({ type, bytes }) => [type, bytes]), [
    ["Q6_K", 62160],
    ["Q4_K", 32256],
    ["Q5_0", 22528],
    ["F32", 3072],
  ]);
  assertEquals(types.reduce((sum, type) => sum + type.parameters, 0), parameters);
  assertEquals(types.reduce((sum, type) => sum + type.tensors, 0), tensors);
  assertEquals(holdings, [
    { type: "Q6_K", held: "rounded8", tensors: 2 },
    { type: "Q4_K", held: "exact4", tensors: 4 },
    { type: "Q5_0", held: "exact8", tensors: 2 },
  ]);
});

Deno.test("inspectModel() lists a model that does not run, and types that are not supported", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/x.gguf`;
    await writeGguf(path);
    await patchGguf(path, "blk.0.ffn_up.weight", { type: 39 });
    const { runs, reason = "", types } = await inspectModel(path);
    assertEquals(runs, false);
    assertEquals(reason.includes('"blk.0.ffn_up.weight" has type MXFP4'), true, reason);
    const unsupported = types.filter(({ supported }) => !supported);
    assertEquals(unsupported.map(({ type, bytes }) => [type, bytes]), [["MXFP4", undefined]]);
    await assertRejects(() => inspectModel(`${folder}/none`), CheckpointError, "no such file");
  });
});

Deno.test("inspectModel() counts the cache of global layers by the token, and windows once", async () => {
  const { cacheBytesPerToken, windowBytes } = await inspectModel(fixture("tiny-gemma3"));
  // One KV head of 32 in two global layers, and windows of 32 in two others.
  assertEquals([cacheBytesPerToken, windowBytes], [2 * 2 * 4 * 32, 2 * 31 * 2 * 4 * 32]);
  const full = await inspectModel(fixture("tiny-mistral-window"));
  assertEquals(full.cacheBytesPerToken, 0);
});
