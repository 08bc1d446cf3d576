import { assertThrows } from "@std/assert";
import { differentiate } from "../../../../kernels/autodiff/differentiate.ts";
import { createGraph, type GraphBuilder, MICROSOFT } from "../../../../kernels/onnx/graph.ts";
import { noise } from "../../../_close.ts";
import { assertGradients } from "../_check_gradients.ts";

const attributes = { epsilon: { float: 1e-2 } };
const scale = (graph: GraphBuilder, width: number) =>
  graph.constant(noise(width, 5).map((value) => 1 + value), [width]);

Deno.test("SimplifiedLayerNormalization has the derivative of finite differences", async () => {
  await assertGradients({
    inputs: { x: [3, 6] },
    build: (graph) =>
      graph.op("SimplifiedLayerNormalization", ["x", scale(graph, 6)], {
        attributes: { ...attributes, axis: { int: -1 } },
      }),
  });
});

const skip = (graph: GraphBuilder) =>
  graph.ops("SkipSimplifiedLayerNormalization", ["x", "update", scale(graph, 6)], 4, {
    domain: MICROSOFT,
    attributes,
  });

Deno.test("SkipSimplifiedLayerNormalization has the derivative of finite differences", async () => {
  const inputs = { x: [3, 6], update: [3, 6] };
  await assertGradients({ inputs, build: (graph) => skip(graph)[0] ?? "" });
  await assertGradients({ inputs, build: (graph) => skip(graph)[3] ?? "" });
  await assertGradients({
    inputs,
    build(graph) {
      const [normalised = "", , , sum = ""] = skip(graph);
      return graph.op("Mul", [normalised, sum]);
    },
  });
});

Deno.test("RotaryEmbedding has the derivative of finite differences", async () => {
  const angles = noise(6, 3).map((value) => 3 * value);
  await assertGradients({
    inputs: { x: [1, 3, 8] },
    build: (graph) =>
      graph.op("RotaryEmbedding", [
        "x",
        graph.integers([0]),
        graph.constant(angles.map(Math.cos), [3, 2]),
        graph.constant(angles.map(Math.sin), [3, 2]),
      ], { domain: MICROSOFT }),
  });
});

Deno.test("SimplifiedLayerNormalization refuses to be differentiated by its scale", () => {
  const graph = createGraph("g");
  graph.input("x", "float32", [6]);
  graph.input("s", "float32", [6]);
  const norm = graph.op("SimplifiedLayerNormalization", ["x", "s"]);
  const loss = graph.op("ReduceSum", [norm], { attributes: { keepdims: { int: 0 } } });
  assertThrows(
    () => differentiate(graph.build(), { loss, by: ["s"], into: graph }),
    TypeError,
    "by its scale",
  );
});
