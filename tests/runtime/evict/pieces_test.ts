import { assertEquals } from "@std/assert";
import { snapKv } from "../../../policies/snapkv.ts";
import { streamingLlm } from "../../../policies/streaming_llm.ts";
import { whileReading } from "../../../policies/while_reading.ts";
import type { Policy } from "../../../policies/policy.ts";
import { createHostCache } from "../../../runtime/cache/host_cache.ts";
import type { Budget } from "../../../runtime/evict/budget.ts";
import { nextPiece } from "../../../runtime/evict/pieces.ts";
import { tinyModel } from "../../_test_model.ts";

/** The next piece behind a global cache that holds some tokens. */
async function pieceBehind(
  held: number,
  rest: number,
  policy: Policy,
  budget: Budget = { tokens: 24 },
) {
  await using test = await tinyModel("tiny-llama31");
  const { engine, config } = test.model;
  const { layers, kvHeads, headDim } = config;
  using cache = createHostCache({ layers, kvHeads, headDim });
  const rows = new Float32Array(held * kvHeads * headDim);
  for (let layer = 0; held > 0 && layer < layers; layer++) cache.append(layer, rows, rows, 0);
  return nextPiece({ engine, sequence: { cache, position: held }, policy, budget, rest });
}

const plain = whileReading({ inner: streamingLlm(), every: 16, keep: 48 });
const working = { tokens: 48 };

Deno.test("pieces fill the cache to the working budget and one piece more", async () => {
  assertEquals(await pieceBehind(0, 200, plain), { tokens: 64, budget: working });
  assertEquals(await pieceBehind(48, 136, plain), { tokens: 16, budget: working });
  assertEquals(await pieceBehind(48, 16, plain), { tokens: 16, budget: { tokens: 24 } });
  assertEquals(await pieceBehind(0, 64, plain), { tokens: 64, budget: { tokens: 24 } });
  // What an answer has added comes on top: a piece is never smaller.
  assertEquals(await pieceBehind(80, 100, plain), { tokens: 16, budget: working });
});

Deno.test("a last piece has the queries that its policy judges by, as far as there are any", async () => {
  const inner = snapKv({ window: 8, kernel: 3 });
  const policy = whileReading({ inner, every: 16, keep: 48 });
  assertEquals((await pieceBehind(48, 19, policy)).tokens, 11);
  assertEquals((await pieceBehind(48, 24, policy)).tokens, 16);
  // Pieces that are shorter than two windows are halved.
  const short = whileReading({ inner, every: 9, keep: 48 });
  assertEquals((await pieceBehind(48, 11, short)).tokens, 6);
  assertEquals((await pieceBehind(48, 19, plain)).tokens, 16);
});

Deno.test("the working budget is four budgets, and never below one of the whole text", async () => {
  const absent = whileReading({ inner: streamingLlm(), every: 16 });
  assertEquals(await pieceBehind(0, 500, absent), { tokens: 112, budget: { tokens: 96 } });
  assertEquals((await pieceBehind(0, 500, plain, { ratio: 0.5 })).budget, { tokens: 250 });
  const { layers } = (await tinyConfig()).config;
  const perLayer = Array.from({ length: layers }, (_, layer) => 40 + 20 * layer);
  assertEquals(
    (await pieceBehind(0, 500, plain, perLayer)).budget,
    perLayer.map((tokens) => ({ tokens: Math.max(48, tokens) })),
  );
});

async function tinyConfig() {
  await using test = await tinyModel("tiny-llama31");
  return { config: test.model.config };
}

Deno.test("without the phase a text is one piece", async () => {
  assertEquals(await pieceBehind(10, 5000, streamingLlm()), {
    tokens: 5000,
    budget: { tokens: 24 },
  });
});
