import { assertEquals, assertThrows } from "@std/assert";
import { h2o } from "../../policies/h2o.ts";
import { OptionError } from "../../policies/policy.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { assertGoldenKept, assertGoldenScores } from "./_golden.ts";

const asGolden = () => h2o({ recent: 0, normalize: "visible" });

/** Attention received by five tokens. */
const sums = new Float32Array([5, 4, 3, 6, 1]);
const sizes = { heads: 1, kvHeads: 1, headDim: 1, length: 5 };
const layer = fakeLayer({ ...sizes, attention: sums });

Deno.test("h2o() scores as the goldens do", () => assertGoldenScores(asGolden()));

Deno.test("h2o() keeps what the goldens keep", () => assertGoldenKept(asGolden()));

Deno.test("pitfall 6, sums that favour old tokens: h2o() divides by the queries that could see a token only if asked to", async () => {
  assertEquals(await h2o().score(layer), sums);
  assertEquals(
    await h2o({ normalize: "visible" }).score(layer),
    new Float32Array([5 / 5, 4 / 4, 3 / 3, 6 / 2, 1 / 1]),
  );
});

Deno.test("h2o() counts visible queries by true positions", async () => {
  const positions = new Int32Array([0, 2, 3, 8, 9]);
  const sparse = fakeLayer({ ...sizes, attention: sums, positions });
  assertEquals(
    await h2o({ normalize: "visible" }).score(sparse),
    new Float32Array([5 / 10, 4 / 8, 3 / 7, 6 / 2, 1 / 1]),
  );
});

Deno.test("h2o() gives half of the budget to the last tokens, rounded down", async () => {
  assertEquals(await selectKept(h2o(), layer, 1), [new Int32Array([3])]);
  assertEquals(await selectKept(h2o(), layer, 3), [new Int32Array([0, 3, 4])]);
  assertEquals(await selectKept(h2o({ recent: 0 }), layer, 3), [new Int32Array([0, 1, 3])]);
});

Deno.test("h2o() refuses options out of range", () => {
  assertThrows(
    () => h2o({ recent: -1 }),
    OptionError,
    "'recent' must be an integer of at least 0, got -1",
  );
  assertThrows(
    () => Reflect.apply(h2o, undefined, [{ normalize: true }]),
    OptionError,
    `'normalize' must be "none" or "visible", got true`,
  );
});
