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

Deno.test("validate() ranks by the largest number of a group's heads where these were compared", async () => {
  // The first head looks at the first half alone, the second a little at all of the other.
  const sharp = new Float32Array(2 * LENGTH);
  sharp.fill(1 / 64, 0, 64);
  sharp.fill(0.01 / 64, LENGTH + 64);
  const flat = new Float32Array(2 * LENGTH).fill(0.001);
  flat.fill(0.5 / 64, 64, LENGTH);
  flat.fill(0.6 / 64, LENGTH, LENGTH + 64);
  flat.fill(0.2 / 64, LENGTH + 64);
  const rates = async (average: "heads" | "max") => {
    const one = { loss: 0, soft: flat, response: sharp };
    return (await validate(these(one), { ...SHAPE, average })).hitRate[64];
  };
  assertEquals([await rates("heads"), await rates("max")], [0, 1]);
});

Deno.test("validate() compares the mean over groups of soft tokens", async () => {
  const response = mapOn(range(0, 64));
  const apart = [mapOn(range(0, 32)), mapOn(range(32, 64))];
  const soft = Float32Array.from(apart.flatMap((map) => [...map]));
  const { hitRate } = await validate(these({ loss: 1, soft, response, groups: 2 }), SHAPE);
  assertEquals(hitRate, { 64: 1 });
});
