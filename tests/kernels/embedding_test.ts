import { assertEquals, assertThrows } from "@std/assert";
import { declareEmbedding } from "../../kernels/embedding.ts";
import { createGraph } from "../../kernels/onnx/graph.ts";
import { floats, floatsOf, integers } from "../../kernels/session.ts";
import type { Weight } from "../../kernels/weight.ts";
import { assertClose, noise } from "../_close.ts";
import { runGraph } from "./_run_graph.ts";
import { product, storedBlocks, storedFloats } from "./_weight_file.ts";

const IDS = [3, 0, 36, 3];

async function assertRows(
  weight: Weight,
  matrix: Float32Array,
  columns: number,
  apart = false,
): Promise<void> {
  const input = noise(2 * columns, 5);
  const feeds = { ids: integers(IDS), none: integers([]), x: floats(input, [2, columns]) };
  const outputs = await runGraph(feeds, (graph) => {
    graph.input("ids", "int64", ["S"]);
    graph.input("none", "int64", ["E"]);
    graph.input("x", "float32", ["T", columns]);
    const { lookUp, product } = declareEmbedding(graph, weight, apart);
    const name = (value: string, as: string, rows: string, width: number) => {
      graph.ops("Identity", [value], 1, { names: [as] });
      graph.output(as, "float32", [rows, width]);
    };
    name(lookUp(graph, "ids"), "rows", "S", columns);
    name(lookUp(graph, "none"), "empty", "E", columns);
    name(product(graph, "x", "float"), "products", "T", 37);
  });
  const rows = IDS.flatMap((id) => [...matrix.subarray(id * columns, (id + 1) * columns)]);
  assertClose(floatsOf(outputs.rows), rows, { absolute: 1e-6 }, "rows");
  assertEquals(outputs.empty?.dims, [0, columns]);
  const expected = product(input, matrix, columns);
  assertClose(floatsOf(outputs.products), expected, { absolute: 2e-5, relative: 1e-5 }, "products");
}

Deno.test("declareEmbedding() looks up rows of floats and multiplies with them", async () => {
  for (const type of ["float32", "float16", "bfloat16"] as const) {
    using stored = storedFloats(type, 37, 20);
    await assertRows(stored.weight, stored.matrix, 20);
  }
});

Deno.test("declareEmbedding() looks up rows of 8-bit blocks, whole and filled up", async () => {
  for (const zeroPoints of [false, true]) {
    for (const columns of [64, 40, 12]) {
      using stored = storedBlocks({ bits: 8, zeroPoints }, 37, columns);
      for (const apart of [false, true]) {
        await assertRows(stored.weight, stored.matrix, columns, apart);
      }
    }
  }
});

Deno.test("declareEmbedding() refuses 4-bit rows", () => {
  using stored = storedBlocks({ bits: 4 }, 37, 32);
  assertThrows(
    () => declareEmbedding(createGraph("g"), stored.weight),
    TypeError,
    "Cannot look up rows of a 4-bit embedding matrix",
  );
});
