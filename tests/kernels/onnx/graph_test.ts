import { assertEquals, assertNotEquals } from "@std/assert";
import { createGraph } from "../../../kernels/onnx/graph.ts";

Deno.test("createGraph() gives every value a name of its own, across branches", () => {
  const graph = createGraph("outer");
  const [one, two] = [graph.branch("one"), graph.branch("two")];
  const names = [graph, one, two, graph].map((builder) => builder.op("Relu", ["x"]));
  assertEquals(new Set(names).size, names.length);
  assertEquals(one.build().nodes.length, 1);
  assertEquals(graph.build().nodes.length, 2);
});

Deno.test("createGraph() holds a list of integers once per graph", () => {
  const graph = createGraph("outer");
  const branch = graph.branch("inner");
  assertEquals(graph.integers([1, -1]), graph.integers([1, -1]));
  assertNotEquals(graph.integers([1, -1]), graph.integers([-1, 1]));
  assertNotEquals(graph.integers([1, 1]), graph.integers([11]));
  branch.integers([1, -1]);
  assertEquals(graph.build().initializers.length, 4);
  assertEquals(branch.build().initializers.length, 1);
});

Deno.test("createGraph() describes constants by type, shape and bytes", () => {
  const graph = createGraph("g");
  const shared = new Float32Array([9, 1, 2]);
  graph.constant(shared.subarray(1), [2, 1]);
  graph.constant(new Int32Array([1]), []);
  graph.constant(new Uint8Array([7]), [1]);
  graph.integers([3]);
  graph.constant(new Float16Array([1, -2]), [2]);
  const [floats, ints, bytes, longs, halves] = graph.build().initializers;
  assertEquals([floats?.type, floats?.shape], ["float32", [2, 1]]);
  assertEquals(floats?.data, { bytes: new Uint8Array(new Float32Array([1, 2]).buffer) });
  assertEquals([ints?.type, bytes?.type, longs?.type], ["int32", "uint8", "int64"]);
  assertEquals([halves?.type, halves?.data], [
    "float16",
    { bytes: Uint8Array.of(0x00, 0x3c, 0x00, 0xc0) },
  ]);
});

Deno.test("createGraph() uses the names that it is given for outputs", () => {
  const graph = createGraph("g");
  const names = graph.ops("Split", ["x"], 2, { names: ["first"] });
  assertEquals(names[0], "first");
  graph.output("first", "float32", ["N"]);
  assertEquals(graph.build().outputs, [{ name: "first", type: "float32", shape: ["N"] }]);
});
