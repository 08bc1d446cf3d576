import { createOutputLengthsKernel } from "../../kernels/output_lengths.ts";
import { assertClose, noise } from "../_close.ts";

Deno.test("createOutputLengthsKernel() gives lengths of W·v for each query head", async () => {
  const shape = { heads: 2, kvHeads: 1, headDim: 2 };
  await using kernel = await createOutputLengthsKernel(shape, 2, 1);
  // The first head keeps a value as it is, the second doubles its first number and drops the other.
  const output = Float32Array.of(1, 0, 0, 1, 2, 0, 0, 0);
  const found = await kernel.run(Float32Array.of(3, 4, 0, -1, 0, 0), output);
  assertClose(found, [5, 1, 0, 6, 0, 0], { absolute: 1e-6 });
});

Deno.test("createOutputLengthsKernel() equals the plain computation", async () => {
  const [heads, headDim, hidden, tokens] = [3, 5, 11, 6];
  await using kernel = await createOutputLengthsKernel({ heads, kvHeads: 1, headDim }, hidden, 1);
  const [output, values] = [noise(heads * hidden * headDim, 1), noise(tokens * headDim, 2)];
  const expected: number[] = [];
  for (let head = 0; head < heads; head++) {
    for (let token = 0; token < tokens; token++) {
      let squares = 0;
      for (let row = 0; row < hidden; row++) {
        let dot = 0;
        for (let i = 0; i < headDim; i++) {
          const weight = output[(head * hidden + row) * headDim + i] ?? NaN;
          dot += weight * (values[token * headDim + i] ?? NaN);
        }
        squares += dot ** 2;
      }
      expected.push(Math.sqrt(squares));
    }
  }
  assertClose(await kernel.run(values, output), expected, { absolute: 1e-5 });
});
