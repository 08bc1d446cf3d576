import { assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import { random } from "../../policies/random.ts";
import { fakeLayer } from "../_fake_layer.ts";

const layer = (index: number, length = 4, kvHeads = 2) =>
  fakeLayer({ heads: kvHeads, kvHeads, headDim: 1, length, layer: index });

Deno.test("random() gives the same scores on every machine", async () => {
  assertEquals(
    await random({ seed: 7 }).score(layer(1)),
    // Computed from the same formula in Python.
    new Float32Array([
      0.409493676,
      0.427753688,
      0.831197783,
      0.319298813,
      0.860027808,
      0.663219548,
      0.403759393,
      0.343699093,
    ]),
  );
});

Deno.test("random() differs by seed, layer and KV head", async () => {
  const scores = await random().score(layer(0));
  assertNotEquals(scores, await random({ seed: 1 }).score(layer(0)));
  assertNotEquals(scores, await random().score(layer(1)));
  assertNotEquals(scores.slice(0, 4), scores.slice(4));
});

Deno.test("random() is uniform between 0 and 1", async () => {
  const scores = await random().score(layer(0, 20_000, 1));
  const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / 20_000;
  assertAlmostEquals(mean(scores), 1 / 2, 0.01);
  assertAlmostEquals(mean(scores.map((score) => (score - 0.5) ** 2)), 1 / 12, 0.005);
  assertEquals(scores.filter((score) => score < 0 || score > 1).length, 0);
});
