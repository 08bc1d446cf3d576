import { assertEquals } from "@std/assert";
import { keyDiff } from "../../policies/keydiff.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { assertGoldenKept, assertGoldenScores } from "./_golden.ts";

Deno.test("keyDiff() scores as the goldens do", () => assertGoldenScores(keyDiff()));

Deno.test("keyDiff() keeps what the goldens keep", () => assertGoldenKept(keyDiff()));

Deno.test("keyDiff() scores each KV head by its own keys, whatever their length", async () => {
  const keys = new Float32Array([1, 0, 0, 2, 7, 0, 0, -1]);
  const layer = fakeLayer({ heads: 2, kvHeads: 2, headDim: 2, length: 2, keys });
  // Head 0 has two keys of one direction, head 1 two opposite ones, whose mean is nothing.
  assertEquals(await keyDiff().score(layer), new Float32Array([-1, -1, 0, 0]));
});

Deno.test("keyDiff() gives a number for a key of zeros", async () => {
  const layer = fakeLayer({
    ...{ heads: 1, kvHeads: 1, headDim: 2, length: 2 },
    keys: new Float32Array([0, 0, 3, 0]),
  });
  assertEquals(await keyDiff().score(layer), new Float32Array([0, -1]));
});
