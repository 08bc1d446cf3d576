import { assertEquals, assertThrows } from "@std/assert";
import { lagKv } from "../../policies/lagkv.ts";
import { OptionError } from "../../policies/policy.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { assertGoldenKept, assertGoldenScores } from "./_golden.ts";

const asGolden = () => lagKv({ sinks: 4, lag: 16 });

const layer = (values: readonly number[]) =>
  fakeLayer({
    ...{ heads: 1, kvHeads: 1, headDim: 2, length: values.length / 2 },
    keys: new Float32Array(values),
    values: new Float32Array(values),
  });

Deno.test("lagKv() scores as the goldens do", () => assertGoldenScores(asGolden()));

Deno.test("lagKv() keeps what the goldens keep", () => assertGoldenKept(asGolden()));

Deno.test("lagKv() ranks a window by how far its tokens stand out from the next one", async () => {
  // One sink, then windows of two: the second window's range is 0 to 1 in both dimensions.
  const view = layer([9, 9, 0.5, 0.5, 1, 0, 0, 0, 1, 1]);
  assertEquals(await lagKv({ sinks: 1, lag: 2 }).score(view), new Float32Array([1, 0, 0.5, 1, 1]));
  assertEquals(await selectKept(lagKv({ sinks: 1, lag: 2 }), view, 4), [
    new Int32Array([0, 2, 3, 4]),
  ]);
});

Deno.test("lagKv() keeps the last tokens of a prompt with fewer than two windows", async () => {
  const view = layer([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assertEquals(await selectKept(lagKv({ sinks: 1, lag: 4 }), view, 3), [new Int32Array([0, 3, 4])]);
});

Deno.test("lagKv() meets budgets below its sinks and its tail", async () => {
  const view = layer(Array.from({ length: 40 }, (_, index) => Math.sin(index)));
  assertEquals(await selectKept(lagKv({ sinks: 4, lag: 5 }), view, 3), [new Int32Array([0, 1, 2])]);
  assertEquals(await selectKept(lagKv({ sinks: 1, lag: 5 }), view, 3), [
    new Int32Array([0, 18, 19]),
  ]);
});

Deno.test("lagKv() refuses options out of range", () => {
  assertThrows(
    () => lagKv({ lag: 1 }),
    OptionError,
    "'lag' must be an integer of at least 2, got 1",
  );
  assertThrows(() => lagKv({ sinks: -1 }), OptionError, "'sinks' must be an integer of at least 0");
});
