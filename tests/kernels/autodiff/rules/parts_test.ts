import { assertThrows } from "@std/assert";
import { differentiate } from "../../../../kernels/autodiff/differentiate.ts";
import { createGraph, type GraphBuilder, type Value } from "../../../../kernels/onnx/graph.ts";
import { assertGradients } from "../_check_gradients.ts";

const along = (axis: number) => ({ attributes: { axis: { int: axis } } });

Deno.test("Split has the derivative of finite differences, with every part used or not", async () => {
  const split = (graph: GraphBuilder) =>
    graph.ops("Split", ["x", graph.integers([1, 3, 2])], 3, along(-1));
  for (const declared of [{ x: [2, 6] }, { x: ["P", 6] }]) {
    const inputs = { x: [2, 6] };
    await assertGradients({ inputs, declared, build: (graph) => split(graph)[1] ?? "" });
    await assertGradients({
      inputs,
      declared,
      build: (graph) => graph.op("Concat", split(graph).toReversed(), along(1)),
    });
  }
});

Deno.test("Split by sizes of other values has the derivative of finite differences", async () => {
  await assertGradients({
    inputs: { x: [2, 5], y: [3] },
    declared: { x: [2, "N"], y: ["P"] },
    build(graph) {
      const sizes = graph.op("Concat", [graph.op("Shape", ["y"]), graph.integers([2])], along(0));
      const [first = "", second = ""] = graph.ops("Split", ["x", sizes], 2, along(1));
      return graph.op("Concat", [graph.op("Mul", [first, "y"]), second], along(1));
    },
  });
});

Deno.test("Concat has the derivative of finite differences, with one open size", async () => {
  for (
    const declared of [{}, { a: [2, "A"] }, { b: [2, "B"] }, { c: [2, "C"] }] as readonly Record<
      string,
      readonly (number | string)[]
    >[]
  ) {
    await assertGradients({
      inputs: { a: [2, 1], b: [2, 3], c: [2, 2] },
      declared: { a: [2, 1], b: [2, 3], c: [2, 2], ...declared },
      build: (graph) => graph.op("Concat", ["a", "b", "c"], along(-1)),
    });
  }
});

Deno.test("Slice has the derivative of finite differences", async () => {
  const slice = (graph: GraphBuilder, start: number, end: number, axis: number) =>
    graph.op("Slice", [
      "x",
      graph.integers([start]),
      graph.integers([end]),
      graph.integers([axis]),
    ]);
  for (const [start, end] of [[1, 3], [0, -2], [-3, -1], [2, 99]] as const) {
    await assertGradients({
      inputs: { x: [2, 5] },
      build: (graph) => slice(graph, start, end, 1),
    });
  }
  for (const [start, end] of [[0, -2], [1, 2 ** 40]] as const) {
    await assertGradients({
      inputs: { x: [2, 5] },
      declared: { x: [2, "P"] },
      build: (graph) => slice(graph, start, end, -1),
    });
  }
});

Deno.test("Gather has the derivative of finite differences, with rows taken twice", async () => {
  await assertGradients({
    inputs: { x: [4, 3] },
    build: (graph) => graph.op("Gather", ["x", graph.integers([2, 0, 2])]),
  });
});

function refusal(build: (graph: GraphBuilder) => Value, message: string): void {
  const graph = createGraph("g");
  graph.input("x", "float32", ["P", "Q"]);
  graph.input("y", "float32", ["R", "Q"]);
  const loss = graph.op("ReduceSum", [build(graph)], { attributes: { keepdims: { int: 0 } } });
  assertThrows(
    () => differentiate(graph.build(), { loss, by: ["x", "y"], into: graph }),
    TypeError,
    message,
  );
}

Deno.test("Slice, Gather and Concat refuse what cannot be told before the graph runs", () => {
  const list = (graph: GraphBuilder, value: number) => graph.integers([value]);
  refusal(
    (graph) => graph.op("Slice", ["x", list(graph, -3), list(graph, -1), list(graph, 0)]),
    "open size",
  );
  refusal(
    (graph) =>
      graph.op("Slice", ["x", list(graph, 0), list(graph, -1), list(graph, 0), list(graph, 2)]),
    "steps of 1",
  );
  refusal((graph) => graph.op("Gather", ["x", list(graph, 0)], along(1)), "first axis");
  refusal((graph) => graph.op("Concat", ["x", "y", "x", "y"], along(0)), "open sizes");
});
