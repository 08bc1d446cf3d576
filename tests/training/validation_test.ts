import { assertAlmostEquals, assertEquals } from "@std/assert";
import { validate, type ValidationMaps } from "../../training/validation.ts";

const SHAPE = { heads: 2, kvHeads: 1, headDim: 4, layers: 1 };
const LENGTH = 128;

/** Maps of one layer and two heads whose mean puts so much more on some tokens. */
function mapOn(tokens: readonly number[]): Float32Array {
  const map = new Float32Array(2 * LENGTH).fill(0.5 / LENGTH);
  for (const token of tokens) {
    map[token] = (map[token] ?? 0) + 0.02;
    map[LENGTH + token] = (map[LENGTH + token] ?? 0) + 0.01;
  }
  return map;
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => from + index);

async function* these(...maps: ValidationMaps[]): AsyncIterable<ValidationMaps> {
  yield* maps;
}

Deno.test("validate() counts the tokens that both maps choose, and the attention on them", async () => {
  const soft = mapOn(range(0, 64));
  const response = mapOn(range(32, 96));
  const same = await validate(these({ loss: 1, soft: response, response }), SHAPE);
  assertEquals(same.hitRate, { 64: 1 });
  const half = await validate(these({ loss: 1, soft, response }), SHAPE);
  assertEquals(half.hitRate, { 64: 0.5 });
  const [light, heavy] = [0.5 / LENGTH, 0.5 / LENGTH + 0.015];
  const mass = (32 * light + 32 * heavy) / (64 * light + 64 * heavy);
  assertAlmostEquals(half.attentionMass["64"] ?? 0, mass, 1e-6);
  const both = await validate(
    these({ loss: 1, soft, response }, { loss: 4, soft: response, response }),
    SHAPE,
  );
  assertEquals([both.loss, both.hitRate], [2.5, { 64: 0.75 }]);
});

Deno.test("validate() leaves out budgets that cover a prompt", async () => {
  const short = new Float32Array(2 * 64).fill(1 / 64);
  const none = await validate(these({ loss: 3, soft: short, response: short }), SHAPE);
  assertEquals(none, { loss: 3, hitRate: {}, attentionMass: {} });
});
