import { declareWeight } from "../../../../kernels/weight.ts";
import { type BlockParts, storedBlocks } from "../../_weight_file.ts";
import { assertGradients } from "../_check_gradients.ts";

const PARTS: readonly BlockParts[] = [
  { bits: 8 },
  { bits: 8, zeroPoints: true },
  { bits: 4 },
  { bits: 4, offsets: true },
];

for (const parts of PARTS) {
  const kind = Object.keys(parts).slice(1).map((part) => ` with ${part}`).join("");
  Deno.test(`MatMulNBits of ${parts.bits} bits${kind} has the derivative of finite differences`, async () => {
    using stored = storedBlocks(parts, 5, 64);
    await assertGradients({
      inputs: { x: [2, 64] },
      build: (graph) => declareWeight(graph, stored.weight)(graph, "x", "float"),
    });
  });
}

Deno.test("MatMulNBits with a last block that is not full has the derivative of finite differences", async () => {
  using stored = storedBlocks({ bits: 8, zeroPoints: true }, 5, 40);
  await assertGradients({
    inputs: { x: [2, 40] },
    build: (graph) => declareWeight(graph, stored.weight)(graph, "x", "float"),
  });
});
