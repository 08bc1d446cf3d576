import { assert, assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { bestNorms } from "../../../../runtime/engine/host/best_norms.ts";
import { topK } from "../../../../runtime/evict/top_k.ts";

interface Tokens {
  /** Lengths of what each value becomes, `[heads × tokens]`. */
  readonly lengths: Float32Array;
  /** Sums of absolute values, the mean over the heads. */
  readonly norms: Float32Array;
}

/** Random values behind a random matrix for each query head. */
function randomTokens(tokens: number, heads: number, hidden: number, noise: () => number): Tokens {
  const width = 4;
  const matrix = Float64Array.from({ length: heads * hidden * width }, noise);
  const lengths = new Float32Array(heads * tokens);
  const norms = new Float32Array(tokens);
  for (let token = 0; token < tokens; token++) {
    // Some values are all but nothing, as those of the first tokens of a text are.
    const size = noise() > 0.8 ? 1e-3 : 1;
    const value = Float64Array.from({ length: width }, () => size * noise());
    for (let head = 0; head < heads; head++) {
      let [sum, squares] = [0, 0];
      for (let row = 0; row < hidden; row++) {
        const at = (head * hidden + row) * width;
        const moved = value.reduce((total, one, i) => total + one * (matrix[at + i] ?? NaN), 0);
        sum += Math.abs(moved);
        squares += moved ** 2;
      }
      lengths[head * tokens + token] = Math.sqrt(squares);
      norms[token] = (norms[token] ?? 0) + sum / heads;
    }
  }
  return { lengths, norms };
}

Deno.test("bestNorms() finds the tokens that all norms would have found", async () => {
  const seeds = fc.record({
    tokens: fc.integer({ min: 1, max: 60 }),
    heads: fc.integer({ min: 1, max: 3 }),
    hidden: fc.integer({ min: 1, max: 24 }),
    count: fc.integer({ min: 0, max: 70 }),
    power: fc.constantFrom(0, 1, 6),
    numbers: fc.infiniteStream(fc.double({ min: -1, max: 1, noNaN: true })),
  });
  const property = fc.asyncProperty(seeds, async (seed) => {
    const { tokens, heads, hidden, power } = seed;
    const noise = () => seed.numbers.next().value ?? 0;
    const { lengths, norms } = randomTokens(tokens, heads, hidden, noise);
    const weights = Float32Array.from({ length: tokens }, () => Math.abs(noise()) ** power);
    const count = Math.min(seed.count, tokens);
    const normsOf = (of: Int32Array) =>
      Promise.resolve(Float32Array.from(of, (token) => norms[token] ?? NaN));
    const found = await bestNorms({ lengths, hidden, weights, count: seed.count }, normsOf);
    for (const [token, norm] of found.entries()) {
      assert(norm === 0 || norm === norms[token], `${token}: ${norm}, not ${norms[token]}`);
    }
    const products = (of: Float32Array) => of.map((norm, token) => norm * (weights[token] ?? 0));
    assertEquals(topK(products(found), count), topK(products(norms), count));
  });
  await fc.assert(property, { seed: 20261127, numRuns: 200 });
});

Deno.test("bestNorms() measures few tokens where attention is as uneven as it is", async () => {
  let state = 1;
  const noise = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const [tokens, hidden, count] = [2000, 48, 60];
  const { lengths, norms } = randomTokens(tokens, 2, hidden, noise);
  const weights = Float32Array.from({ length: tokens }, (_, token) => 1 / (token + 1));
  let measured = 0;
  await bestNorms({ lengths, hidden, weights, count }, (of) => {
    measured += of.length;
    return Promise.resolve(Float32Array.from(of, (token) => norms[token] ?? NaN));
  });
  assert(measured < tokens / 4, `measured ${measured} of ${tokens}`);
});
