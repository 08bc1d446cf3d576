import { assert } from "@std/assert";
import { rKv } from "../../policies/r_kv.ts";
import { whileDecoding } from "../../policies/while_decoding.ts";
import { assertClose } from "../_close.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { tinyModel } from "../_test_model.ts";

/** Three keys of one direction, whatever their lengths, and one at a right angle. */
const layer = fakeLayer({
  ...{ heads: 1, kvHeads: 1, headDim: 2, length: 4 },
  keys: new Float32Array([1, 0, 3, 0, 0.5, 0, 0, 2]),
  attention: new Float32Array([0.1, 0.2, 0.3, 0.4]),
});

Deno.test("rKv() counts repetitions, and spares the last of those that are alike", async () => {
  // Of three alike each counts the first other but the last: 2, 1 and 0 of 4 tokens.
  const exponents = [0.5, 0.25, 0, 0].map(Math.exp);
  const total = exponents.reduce((sum, one) => sum + one);
  const scores = await rKv({ lambda: 0, window: 1 }).score(layer);
  assertClose(scores, exponents.map((one) => -one / total), { absolute: 1e-6 });
});

Deno.test("rKv() weighs attention against redundancy", async () => {
  const [all, none, half] = await Promise.all(
    [1, 0, 0.5].map((lambda) => rKv({ lambda, window: 1, kernel: 1 }).score(layer)),
  );
  assertClose(all ?? [], [0.1, 0.2, 0.3, 0.4], { absolute: 1e-7 });
  const mixed = [...all ?? []].map((one, at) => (one + (none?.[at] ?? NaN)) / 2);
  assertClose(half ?? [], mixed, { absolute: 1e-7 });
});

Deno.test("rKv() with a threshold of 1 spares only the first token", async () => {
  const exponents = [0, 0.5, 0.5, 0].map(Math.exp);
  const total = exponents.reduce((sum, one) => sum + one);
  const scores = await rKv({ lambda: 0, threshold: 1, window: 1 }).score(layer);
  assertClose(scores, exponents.map((one) => -one / total), { absolute: 1e-6 });
});

Deno.test("rKv() evicts again and again while an answer is written", async () => {
  await using test = await tinyModel("tiny-llama");
  const policy = whileDecoding({ inner: rKv({ window: 4 }), every: 8 });
  await using session = test.model.session({ policy, budget: 16 });
  await session.read({ ids: Array.from({ length: 40 }, (_, index) => 3 + index * 7) });
  const answer = session.generate({ maxTokens: 40 });
  for await (const _ of answer);
  const { decodeEvictions, held } = session.stats();
  assert(decodeEvictions >= 4, `${decodeEvictions}`);
  assert(held.every((count) => count <= 24), `${held}`);
});
