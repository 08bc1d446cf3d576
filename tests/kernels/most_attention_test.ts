import { createMostAttentionKernel } from "../../kernels/most_attention.ts";
import { assertClose, noise } from "../_close.ts";

Deno.test("createMostAttentionKernel() equals the plain computation", async () => {
  const shape = { heads: 6, kvHeads: 2, headDim: 5, attentionScale: 0.3 };
  const { headDim, attentionScale } = shape;
  const [group, seen, tokens, asked] = [3, 7, 4, 5];
  await using kernel = await createMostAttentionKernel(shape, 1);
  const queries = noise(tokens * group * headDim, 1);
  const keys = noise((seen + tokens) * headDim, 2);
  const factors = Float32Array.of(1, 2, 0.5, 3);
  const expected = new Float32Array(group * asked);
  for (let head = 0; head < group; head++) {
    for (let query = 0; query < tokens; query++) {
      const weights = Array.from({ length: seen + query + 1 }, (_, key) => {
        let dot = 0;
        for (let i = 0; i < headDim; i++) {
          dot += (queries[(query * group + head) * headDim + i] ?? NaN) *
            (keys[key * headDim + i] ?? NaN);
        }
        return Math.exp(dot * attentionScale);
      });
      const sum = weights.reduce((total, weight) => total + weight);
      for (let key = 0; key < asked; key++) {
        const given = (weights[key] ?? NaN) / sum * (factors[query] ?? NaN);
        const at = head * asked + key;
        expected[at] = Math.max(expected[at] ?? 0, given);
      }
    }
  }
  const found = await kernel.run({
    queries,
    seen: keys.subarray(0, seen * headDim),
    own: keys.subarray(seen * headDim),
    asked,
    factors,
  });
  assertClose(found, expected, { absolute: 1e-6 });
});

Deno.test("createMostAttentionKernel() gives all to the one key that is far nearer, by hand", async () => {
  const shape = { heads: 1, kvHeads: 1, headDim: 1, attentionScale: 1 };
  await using kernel = await createMostAttentionKernel(shape, 1);
  const found = await kernel.run({
    queries: Float32Array.of(50),
    seen: Float32Array.of(1, 0),
    own: Float32Array.of(0),
    asked: 2,
    factors: Float32Array.of(0.25),
  });
  assertClose(found, [0.25, 0], { absolute: 1e-9 });
});
