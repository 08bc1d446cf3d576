import { assert, assertEquals, assertThrows } from "@std/assert";
import { graphKv } from "../../policies/graphkv.ts";
import { OptionError, type ScorerPolicy } from "../../policies/policy.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { assertClose } from "../_close.ts";
import { fakeLayer, noiseLayer } from "../_fake_layer.ts";

const scored = (scores: readonly number[]): ScorerPolicy => ({
  name: "given",
  evidence: { kind: "none" },
  score: () => Float32Array.from(scores),
});

// Directions in degrees, so that cosines are known: 0 and 60 degrees differ by 0.5.
const keysAt = (degrees: readonly number[]) =>
  Float32Array.from(
    degrees.flatMap((one) => [Math.cos(one * Math.PI / 180), Math.sin(one * Math.PI / 180)]),
  );

Deno.test("graphKv() decays six tokens as worked by hand", async () => {
  // Round 1: token 0 (score 10) is the source; its neighbours are 1 (cos 1) and 3 (cos 0.5).
  //   1: 8 − 0.5·1·8 = 4;  3: 6 − 0.5·0.5·6 = 4.5.
  // Round 2: token 2 (score 7) is the source; its neighbours are 4 (cos 1) and 3 (cos 0.5).
  //   4: 2 − 0.5·1·2 = 1;  3: 4.5 − 0.5·0.5·4.5 = 3.375.
  const layer = fakeLayer({
    ...{ heads: 1, kvHeads: 1, headDim: 2, length: 6 },
    keys: keysAt([0, 0, 120, 60, 120, 240]),
  });
  const policy = graphKv({
    inner: scored([10, 8, 7, 6, 2, 0]),
    ...{ rounds: 2, sources: 1, neighbours: 2, decay: 0.5 },
  });
  assertClose(await policy.score(layer), [10, 4, 7, 3.375, 1, 0], { absolute: 1e-5 });
});

Deno.test("graphKv() lowers negative scores towards the head's lowest", async () => {
  const layer = fakeLayer({
    ...{ heads: 1, kvHeads: 1, headDim: 2, length: 3 },
    keys: keysAt([0, 0, 90]),
  });
  const policy = graphKv({
    inner: scored([-1, -2, -4]),
    ...{ rounds: 1, sources: 1, neighbours: 1, decay: 1 },
  });
  assertClose(await policy.score(layer), [-1, -4, -4], { absolute: 1e-5 });
});

Deno.test("graphKv() without decay or rounds scores as its inner policy", async () => {
  const layer = noiseLayer({ heads: 4, kvHeads: 2, headDim: 8, length: 50, seed: 3 });
  const inner = snapKv({ window: 8 });
  const expected = await inner.score(layer);
  assertEquals(await graphKv({ inner, decay: 0 }).score(layer), expected);
  assertEquals(await graphKv({ inner, rounds: 0 }).score(layer), expected);
});

Deno.test("graphKv() raises no score, and leaves the best token its own", async () => {
  const layer = noiseLayer({ heads: 4, kvHeads: 2, headDim: 8, length: 50, seed: 4 });
  const inner = snapKv({ window: 8, kernel: 1 });
  const before = await inner.score(layer);
  const after = await graphKv({ inner, rounds: 3, sources: 5, neighbours: 6 }).score(layer);
  assert(after.every((score, index) => score <= (before[index] ?? NaN)));
  assert(after.some((score, index) => score < (before[index] ?? NaN)));
  for (const head of [0, 1]) {
    const [was, is] = [before, after].map((all) => all.subarray(head * 50, (head + 1) * 50));
    const best = was?.indexOf(Math.max(...was)) ?? -1;
    assertEquals(is?.[best], was?.[best]);
  }
});

Deno.test("graphKv() refuses options out of range", () => {
  assertThrows(
    () => graphKv({ decay: 1.5 }),
    OptionError,
    "'decay' must be a number from 0 to 1, got 1.5",
  );
  assertThrows(() => graphKv({ sources: 0 }), OptionError, "'sources' must be an integer");
});
