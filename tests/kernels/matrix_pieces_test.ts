import { assertEquals } from "@std/assert";
import { declarePieces } from "../../kernels/matrix_pieces.ts";
import { createGraph } from "../../kernels/onnx/graph.ts";
import { createKernel, floats, floatsOf } from "../../kernels/session.ts";
import { type BlockWeight, declareWeight, type Product } from "../../kernels/weight.ts";
import { noise } from "../_close.ts";
import { storedBlocks } from "./_weight_file.ts";

const COLUMNS = 32;

async function multiplied(weight: BlockWeight, declare: typeof declarePieces) {
  const graph = createGraph("product");
  graph.input("x", "float32", ["S", COLUMNS]);
  const product: Product = declare(graph, weight);
  graph.ops("Identity", [product(graph, "x", "integer")], 1, { names: ["y"] });
  graph.output("y", "float32", ["S", weight.rows]);
  const built = graph.build();
  await using kernel = await createKernel(built);
  const { y } = await kernel.run({ x: floats(noise(3 * COLUMNS, 5), [3, COLUMNS]) });
  const nodes = built.nodes.filter(({ operator }) => operator === "MatMulNBits").length;
  return { nodes, numbers: floatsOf(y) };
}

for (
  const [rows, options, nodes] of [
    [40_000, { bits: 4 }, 3],
    [20_000, { bits: 8, zeroPoints: true }, 2],
    [20_000, { bits: 4, offsets: true }, 1],
    [500, { bits: 8 }, 1],
  ] as const
) {
  Deno.test(`declarePieces() multiplies ${rows} rows as one matrix, ${JSON.stringify(options)}`, async () => {
    using stored = storedBlocks(options, rows, COLUMNS);
    const whole = await multiplied(stored.weight, declareWeight);
    const pieces = await multiplied(stored.weight, declarePieces);
    assertEquals([whole.nodes, pieces.nodes], [1, nodes]);
    assertEquals(pieces.numbers, whole.numbers);
  });
}
