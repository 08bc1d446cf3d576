import { assert, assertEquals } from "@std/assert";
import { createOutputNormsKernel, outputByHead } from "../../kernels/output_norms.ts";
import { outputNorms } from "../../plugins/conformance/output_norms.ts";

const SHAPES = [
  { heads: 4, kvHeads: 2, headDim: 8, hidden: 24 },
  { heads: 6, kvHeads: 2, headDim: 5, hidden: 7 },
  { heads: 3, kvHeads: 3, headDim: 4, hidden: 12 },
  { heads: 9, kvHeads: 3, headDim: 64, hidden: 576 },
];

function noise(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function assertNear(got: Float32Array, expected: Float32Array): void {
  assertEquals(got.length, expected.length);
  for (const [index, value] of got.entries()) {
    const wanted = expected[index] ?? NaN;
    assert(Math.abs(value - wanted) <= 1e-4 * wanted, `${index}: ${value}, expected ${wanted}`);
  }
}

Deno.test("createOutputNormsKernel() equals the plain computation, in one batch and in several", async () => {
  for (const { hidden, ...shape } of SHAPES) {
    const { heads, kvHeads, headDim } = shape;
    await using kernel = await createOutputNormsKernel(shape, hidden, 1);
    const output = noise(hidden * heads * headDim, 3);
    for (const length of [1, 5, heads === 9 ? 300 : 40]) {
      const values = noise(length * kvHeads * headDim, length);
      const got = await kernel.run(values, outputByHead(output, shape));
      assertNear(got, outputNorms({ values, output, ...shape }));
    }
  }
});

Deno.test("createOutputNormsKernel() gives a head alone what it gives it among all", async () => {
  const { hidden, ...shape } = { heads: 6, kvHeads: 3, headDim: 4, hidden: 10 };
  await using kernel = await createOutputNormsKernel(shape, hidden, 1);
  const byHead = outputByHead(noise(hidden * 24, 1), shape);
  const values = noise(7 * 12, 2);
  const all = await kernel.run(values, byHead);
  for (let head = 0; head < 3; head++) {
    const ofHead = Float32Array.from(
      { length: 7 * 4 },
      (_, index) => values[(Math.floor(index / 4) * 3 + head) * 4 + index % 4] ?? NaN,
    );
    const size = byHead.length / 3;
    const alone = await kernel.run(ofHead, byHead.subarray(head * size, (head + 1) * size));
    assertNear(alone, all.subarray(head * 7, (head + 1) * 7));
  }
});
