import { assertEquals } from "@std/assert";
import { createKeySimilarityKernel } from "../../kernels/key_similarity.ts";
import { assertClose } from "../_close.ts";
import { cosines, noiseLayer } from "../_fake_layer.ts";

Deno.test("keySimilarity gives the cosines of one KV head", async () => {
  const shape = { heads: 6, kvHeads: 3, headDim: 10, length: 40 };
  const keys = (await noiseLayer({ ...shape, seed: 8 }).keys()).map((value) => value - 0.5);
  // One key of zeros.
  keys.fill(0, (7 * 3 + 1) * 10, (7 * 3 + 2) * 10);
  await using kernel = await createKeySimilarityKernel(shape, 1);
  const tokens = Int32Array.of(39, 0, 7, 0);
  for (const head of [0, 1, 2]) {
    const actual = await kernel.run(keys, head, tokens);
    assertEquals(actual.length, 4 * 40);
    assertClose(actual, cosines(keys, head, tokens, shape), { absolute: 1e-6 }, `head ${head}`);
  }
});
