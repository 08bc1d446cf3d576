import { assertThrows } from "@std/assert";
import { differentiate } from "../../../../kernels/autodiff/differentiate.ts";
import { createGraph, MICROSOFT } from "../../../../kernels/onnx/graph.ts";
import { assertGradients } from "../_check_gradients.ts";

for (const operator of ["Identity", "Neg", "Exp", "Log", "Sqrt"]) {
  Deno.test(`${operator} has the derivative of finite differences`, async () => {
    await assertGradients({
      inputs: { x: [2, 3] },
      positive: true,
      build: (graph) => graph.op(operator, ["x"]),
    });
  });
}

Deno.test("Cast has the derivative of finite differences", async () => {
  await assertGradients({
    inputs: { x: [4] },
    build: (graph) => graph.op("Cast", ["x"], { attributes: { to: { int: 1 } } }),
  });
});

Deno.test("QuickGelu has the derivative of finite differences for every alpha", async () => {
  for (const alpha of [1, 1.702]) {
    await assertGradients({
      inputs: { x: [3, 4] },
      build: (graph) =>
        graph.op("QuickGelu", [graph.op("Mul", ["x", graph.constant(Float32Array.of(3), [])])], {
          domain: MICROSOFT,
          attributes: { alpha: { float: alpha } },
        }),
    });
  }
});

const THREE = Float32Array.of(3);

Deno.test("FastGelu has the derivative of finite differences on both sides of zero", async () => {
  await assertGradients({
    inputs: { x: [5, 6] },
    build: (graph) =>
      graph.op("FastGelu", [graph.op("Mul", ["x", graph.constant(THREE, [])])], {
        domain: MICROSOFT,
      }),
  });
});

Deno.test("FastGelu with a bias is refused", () => {
  const graph = createGraph("g");
  graph.input("x", "float32", [1]);
  const loss = graph.op("FastGelu", ["x", graph.constant(THREE, [1])], { domain: MICROSOFT });
  assertThrows(
    () => differentiate(graph.build(), { loss, by: ["x"], into: graph }),
    TypeError,
    "FastGelu with a bias",
  );
});

Deno.test("Softmax has the derivative of finite differences along any axis", async () => {
  for (const axis of [-1, 0, 1]) {
    await assertGradients({
      inputs: { x: [2, 3, 4] },
      declared: { x: [2, 3, "N"] },
      build: (graph) => graph.op("Softmax", ["x"], { attributes: { axis: { int: axis } } }),
    });
  }
});

Deno.test("Cast to whole numbers is refused", () => {
  const graph = createGraph("g");
  graph.input("x", "float32", [1]);
  const loss = graph.op("Cast", ["x"], { attributes: { to: { int: 7 } } });
  assertThrows(
    () => differentiate(graph.build(), { loss, by: ["x"], into: graph }),
    TypeError,
    "Cast to type 7",
  );
});
