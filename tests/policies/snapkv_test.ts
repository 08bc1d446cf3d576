import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { OptionError } from "../../policies/policy.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { BudgetError } from "../../runtime/errors.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { assertGoldenKept, assertGoldenScores } from "./_golden.ts";

const asGolden = () => snapKv({ window: 8, kernel: 5, pooling: "avg" });

const layer = (attention: readonly number[]) =>
  fakeLayer({
    heads: 2,
    kvHeads: 1,
    headDim: 1,
    length: attention.length / 2,
    attention: new Float32Array(attention),
  });

Deno.test("snapKv() scores as the goldens do, before the window", async () => {
  await assertGoldenScores(asGolden(), (index, length) => index < length - 8);
});

Deno.test("snapKv() keeps what the goldens keep", () => assertGoldenKept(asGolden()));

Deno.test("snapKv() averages the group, then pools the tokens before the window", async () => {
  const view = layer([4, 0, 0, 2, 8, 0, 0, 0, 6, 8]);
  assertEquals(
    await snapKv({ window: 1, kernel: 3, pooling: "max" }).score(view),
    new Float32Array([2, 2, 4, 4, 8]),
  );
  assertEquals(
    await snapKv({ window: 1, kernel: 3, pooling: "avg" }).score(view),
    Float32Array.from([2 / 3, 2 / 3, 4 / 3, 4 / 3, 8]),
  );
});

Deno.test("snapKv() scores a prompt shorter than the window", async () => {
  const view = layer([1, 2, 3, 4]);
  assertEquals(await snapKv().score(view), new Float32Array([2, 3]));
});

Deno.test("snapKv() refuses a budget below its window", async () => {
  const view = layer([1, 2, 3, 4, 5, 6, 7, 8]);
  await assertRejects(
    () => selectKept(snapKv({ window: 3 }), view, 2),
    BudgetError,
    "Cannot keep 2 of 4 tokens in layer 0 with policy 'snapkv': it always keeps 3 (0 first, 3 last)",
  );
});

Deno.test("snapKv() refuses options out of range", () => {
  for (
    const [options, message] of [
      [{ window: 0 }, "'window' must be an integer of at least 1, got 0"],
      [{ window: 1.5 }, "'window' must be an integer of at least 1, got 1.5"],
      [{ window: NaN }, "'window' must be an integer of at least 1, got NaN"],
      [{ kernel: 4 }, "'kernel' must be an odd integer of at least 1, got 4"],
      [{ pooling: "mean" }, `'pooling' must be "max" or "avg", got "mean"`],
      [{ window: "8" }, `'window' must be an integer of at least 1, got "8"`],
    ] as const
  ) {
    assertThrows(() => Reflect.apply(snapKv, undefined, [options]), OptionError, message);
  }
});
