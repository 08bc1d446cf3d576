import { assertEquals } from "@std/assert";
import { packedTokens, unpackTokens } from "../../../kernels/device/packed_tokens.ts";
import { createGraph } from "../../../kernels/onnx/graph.ts";
import { createKernel, floatsOf } from "../../../kernels/session.ts";

const HEADS = { heads: 1, kvHeads: 1, headDim: 4 };
const ROTARY = { cos: Float32Array.of(1, 2, 3, 4, 5, 6), sin: Float32Array.of(7, 8, 9, 1, 2, 3) };

Deno.test("packedTokens() come apart as they were: tables, ids, rows, the largest id exact", async () => {
  const graph = createGraph("unpack");
  const { ids, rows } = unpackTokens(graph, HEADS, false);
  const list = (value: string, name: string) => {
    graph.op("Cast", [value], { names: [name], attributes: { to: { int: 1 } } });
    graph.output(name, "float32", [`of ${name}`]);
  };
  list(ids, "ids");
  list(rows, "wanted");
  for (const name of ["cos", "sin"]) graph.output(name, "float32", ["T", 2]);
  await using kernel = await createKernel(graph.build());
  const given = [0, 2 ** 24 - 1];
  // A soft token follows the two ids: it has tables, but no id.
  const found = await kernel.run(packedTokens({ ids: given, rotary: ROTARY, rows: [2] }, 4));
  assertEquals([...floatsOf(found.ids)], given);
  assertEquals([...floatsOf(found.wanted)], [2]);
  assertEquals(floatsOf(found.cos), ROTARY.cos);
  assertEquals(floatsOf(found.sin), ROTARY.sin);
});
