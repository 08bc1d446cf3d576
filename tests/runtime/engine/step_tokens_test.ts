import { assert, assertEquals } from "@std/assert";
import { prefill } from "../../../runtime/engine/prefill.ts";
import { newSequence, randomIds, tinyModel } from "../../_test_model.ts";

Deno.test("engine.maxStepTokens() bounds what attention lays out, behind short and long texts", async () => {
  await using test = await tinyModel("tiny-llama");
  const { engine, config: { heads } } = test.model;
  for (const held of [0, 512, 8192, 32_768, 131_072]) {
    const most = engine.maxStepTokens(held);
    assert(4 * heads * most * (held + most) <= 256 * 1024 ** 2, `${most} tokens behind ${held}`);
    assert(most >= 64 && most <= engine.maxStepTokens(0));
  }
  assertEquals(engine.maxStepTokens(1e9), 64);
});

Deno.test("prefill() reads no more tokens at a time than the engine can", async () => {
  await using test = await tinyModel("tiny-gemma3");
  const { engine } = test.model;
  const sizes: number[] = [];
  const counting = {
    ...engine,
    maxStepTokens: (held: number) => held < 40 ? 30 : 7,
    advance: (...[sequence, input]: Parameters<typeof engine.advance>) => {
      sizes.push(input.ids?.length ?? 0);
      return engine.advance(sequence, input);
    },
  };
  const sequence = newSequence(engine);
  using _cache = sequence.cache;
  await prefill(counting, sequence, randomIds(90, 300), { chunk: 1000, observe: "none" });
  assertEquals(sizes, [30, 30, 7, 7, 7, 7, 2]);
});
