import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { OptionError } from "../../policies/policy.ts";
import { streamingLlm } from "../../policies/streaming_llm.ts";
import { BudgetError } from "../../runtime/errors.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { goldenLayers } from "./_golden.ts";

const layer = fakeLayer({ heads: 2, kvHeads: 2, headDim: 1, length: 10 });

Deno.test("streamingLlm() keeps what the goldens keep", async () => {
  const policy = streamingLlm();
  for (const { view, keep, kept } of await goldenLayers(policy)) {
    assertEquals(await selectKept(policy, view, keep), kept(policy.name));
  }
});

Deno.test("streamingLlm() keeps the sinks and the last tokens", async () => {
  const kept = new Int32Array([0, 1, 7, 8, 9]);
  assertEquals(await selectKept(streamingLlm({ sinks: 2 }), layer, 5), [kept, kept]);
  const last = new Int32Array([8, 9]);
  assertEquals(await selectKept(streamingLlm({ sinks: 0 }), layer, 2), [last, last]);
});

Deno.test("streamingLlm() refuses a budget below its sinks, except for a short prompt", async () => {
  await assertRejects(
    () => selectKept(streamingLlm(), layer, 3),
    BudgetError,
    "it always keeps 4 (4 first, 0 last); give a budget of at least 4 tokens",
  );
  const short = fakeLayer({ heads: 1, kvHeads: 1, headDim: 1, length: 3 });
  assertEquals(await selectKept(streamingLlm(), short, 3), [new Int32Array([0, 1, 2])]);
});

Deno.test("streamingLlm() refuses options out of range", () => {
  assertThrows(() => streamingLlm({ sinks: -1 }), OptionError, "'sinks'");
});
