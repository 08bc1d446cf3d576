import { assert, assertEquals } from "@std/assert";
import { outputProduct } from "../../kernels/output_logits.ts";
import { floats, floatsOf } from "../../kernels/session.ts";
import { declareWeight, type Weight } from "../../kernels/weight.ts";
import { assertClose, noise } from "../_close.ts";
import { runGraph } from "./_run_graph.ts";
import { product, storedBlocks, storedFloats } from "./_weight_file.ts";

async function logitsOf(weight: Weight, input: Float32Array, twice: boolean) {
  const { columns } = weight;
  const feeds = { x: floats(input, [input.length / columns, columns]) };
  const outputs = await runGraph(feeds, (graph) => {
    graph.input("x", "float32", ["R", columns]);
    const output = outputProduct(weight, declareWeight(graph, weight));
    const count = graph.op("Shape", ["x"], { attributes: { start: { int: 0 }, end: { int: 1 } } });
    const logits = output.logits(graph, output.factors(graph, "x", twice), count);
    graph.ops("Identity", [logits], 1, { names: ["logits"] });
    graph.output("logits", "float32", ["R", weight.rows]);
  });
  assertEquals(outputs.logits?.dims, [input.length / columns, weight.rows]);
  return floatsOf(outputs.logits);
}

Deno.test("outputProduct() is as exact as floats where rows are multiplied twice", async () => {
  for (const rows of [1, 2, 5]) {
    for (
      const parts of [{ bits: 8 }, { bits: 8, zeroPoints: true }, {
        bits: 4,
        offsets: true,
      }] as const
    ) {
      using stored = storedBlocks(parts, 37, 64);
      const input = noise(rows * 64, rows);
      const expected = product(input, stored.matrix, 64);
      const twice = await logitsOf(stored.weight, input, true);
      assertClose(twice, expected, { absolute: 1e-3, relative: 1e-3 }, `${rows} rows`);
      const once = await logitsOf(stored.weight, input, false);
      assertClose(once, expected, { absolute: 0.2, relative: 0.02 }, `${rows} rows, once`);
      const error = (actual: Float32Array) =>
        actual.reduce((sum, value, at) => sum + Math.abs(value - (expected[at] ?? NaN)), 0);
      assert(error(twice) < error(once) / 20);
    }
  }
});

Deno.test("outputProduct() multiplies floats, and blocks that are filled up, once", async () => {
  using whole = storedFloats("float32", 37, 20);
  const input = noise(3 * 20, 4);
  const expected = product(input, whole.matrix, 20);
  for (const twice of [false, true]) {
    assertClose(await logitsOf(whole.weight, input, twice), expected, { absolute: 1e-4 });
  }
  using filledUp = storedBlocks({ bits: 8 }, 37, 20);
  assertEquals(
    await logitsOf(filledUp.weight, input, true),
    await logitsOf(filledUp.weight, input, false),
  );
});
