import { assertEquals } from "@std/assert";
import { createGraph, type Graph } from "../../../kernels/onnx/graph.ts";
import { joinGraphs } from "../../../kernels/onnx/join_graphs.ts";
import { repeatGraph } from "../../../kernels/onnx/repeat_graph.ts";
import { createKernel, floats, floatsOf } from "../../../kernels/session.ts";

/** Both graphs have constants and values of the same names, and an input that both read. */
function timesTwo(): Graph {
  const graph = createGraph("first");
  graph.input("x", "float32", ["N"]);
  graph.input("shift", "float32", [1]);
  const doubled = graph.op("Mul", ["x", graph.constant(Float32Array.of(2), [])]);
  graph.op("Add", [doubled, "shift"], { names: ["y"] });
  graph.output("y", "float32", ["N"]);
  return graph.build();
}

function difference(): Graph {
  const graph = createGraph("second");
  graph.input("a", "float32", ["N"]);
  graph.input("b", "float32", ["N"]);
  graph.input("shift", "float32", [1]);
  const tripled = graph.op("Mul", ["b", graph.constant(Float32Array.of(3), [])]);
  graph.op("Sub", [graph.op("Add", [tripled, "shift"]), "a"], { names: ["z"] });
  graph.output("z", "float32", ["N"]);
  return graph.build();
}

Deno.test("joinGraphs() puts one graph behind copies of another, each name once", async () => {
  const copies = repeatGraph(timesTwo(), 2, new Set(["shift"]));
  const joined = joinGraphs(
    copies,
    difference(),
    new Map([["a", "copy 0/y"], ["b", "copy 1/y"]]),
  );
  assertEquals(joined.inputs.map(({ name }) => name).sort(), ["copy 0/x", "copy 1/x", "shift"]);
  assertEquals(joined.outputs.map(({ name }) => name), ["z"]);
  await using kernel = await createKernel(joined, { threads: 1 });
  const { z } = await kernel.run({
    "copy 0/x": floats(Float32Array.of(1, 2), [2]),
    "copy 1/x": floats(Float32Array.of(10, 20), [2]),
    shift: floats(Float32Array.of(0.5), [1]),
  });
  // 3 · (2 · 10 + 0.5) + 0.5 − (2 · 1 + 0.5)
  assertEquals(floatsOf(z), Float32Array.of(59.5, 117.5));
});
