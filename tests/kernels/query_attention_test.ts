import {
  createQueryAttentionKernel,
  createQueryWeightsKernel,
} from "../../kernels/query_attention.ts";
import { columnsOfHead } from "../../runtime/engine/host/keys_by_head.ts";
import { assertClose } from "../_close.ts";
import { referenceAttention } from "../_reference_attention.ts";

const SHAPE = { heads: 6, kvHeads: 3, headDim: 5, attentionScale: 0.3 };
const [LENGTH, QUERIES] = [11, 4];

function noise(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, index) => Math.sin(seed + index * 1.7) * 2);
}

Deno.test("createQueryAttentionKernel() equals the plain computation, of a KV head alone too", async () => {
  const { heads, kvHeads, headDim } = SHAPE;
  await using kernel = await createQueryAttentionKernel(SHAPE, 1);
  const past = noise(LENGTH * kvHeads * headDim, 1);
  const following = {
    queries: noise(QUERIES * heads * headDim, 2),
    keys: noise(QUERIES * kvHeads * headDim, 3),
  };
  const all = referenceAttention({
    ...SHAPE,
    queries: following.queries,
    keys: Float32Array.from([...past, ...following.keys]),
    visible: LENGTH + 1,
    reduce: "sum",
  });
  const expected = all.filter((_, index) => index % (LENGTH + QUERIES) < LENGTH);
  assertClose(await kernel.run(past, following), expected, { absolute: 1e-5 });
  const group = heads / kvHeads;
  for (let head = 0; head < kvHeads; head++) {
    const of = (rows: Float32Array, width: number) => columnsOfHead(rows, { kvHeads, width, head });
    const ofHead = {
      queries: of(following.queries, group * headDim),
      keys: of(following.keys, headDim),
    };
    const size = group * LENGTH;
    assertClose(
      await kernel.run(of(past, headDim), ofHead, 1),
      expected.subarray(head * size, (head + 1) * size),
      { absolute: 1e-5 },
    );
  }
});

Deno.test("createQueryWeightsKernel() gives what each query pays: of the first alone as of all", async () => {
  const { heads, kvHeads, headDim } = SHAPE;
  await using sums = await createQueryAttentionKernel(SHAPE, 1);
  await using kernel = await createQueryWeightsKernel(SHAPE, 1);
  const past = noise(LENGTH * kvHeads * headDim, 1);
  const following = {
    queries: noise(QUERIES * heads * headDim, 2),
    keys: noise(QUERIES * kvHeads * headDim, 3),
  };
  const weights = await kernel.run(past, following);
  for (let count = 1; count <= QUERIES; count++) {
    const first = {
      queries: following.queries.subarray(0, count * heads * headDim),
      keys: following.keys.subarray(0, count * kvHeads * headDim),
    };
    const expected = Float32Array.from({ length: heads * LENGTH }, (_, index) => {
      const head = Math.floor(index / LENGTH);
      let sum = 0;
      for (let query = 0; query < count; query++) {
        sum += weights[(head * QUERIES + query) * LENGTH + index % LENGTH] ?? NaN;
      }
      return sum;
    });
    assertClose(await sums.run(past, first), expected, { absolute: 1e-5 });
  }
});
