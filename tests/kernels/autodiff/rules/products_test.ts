import { assertThrows } from "@std/assert";
import { differentiate } from "../../../../kernels/autodiff/differentiate.ts";
import { createGraph, MICROSOFT } from "../../../../kernels/onnx/graph.ts";
import { assertGradients } from "../_check_gradients.ts";

Deno.test("MatMul has the derivative of finite differences, in batches too", async () => {
  for (
    const [a, b] of [
      [[2, 3], [3, 4]],
      [[2, 3, 2], [2, 2, 3]],
      [[2, 2, 3], [3, 2]],
      [[2, 2, 1, 3], [2, 2, 3, 2]],
    ] as const
  ) {
    await assertGradients({ inputs: { a, b }, build: (graph) => graph.op("MatMul", ["a", "b"]) });
  }
});

const SWITCHES = [0, 1] as const;

for (const transA of SWITCHES) {
  for (const transB of SWITCHES) {
    Deno.test(`FusedMatMul with transA ${transA}, transB ${transB} has the derivative of finite differences`, async () => {
      for (const transBatchA of SWITCHES) {
        for (const transBatchB of SWITCHES) {
          // Batches of 2, 3 rows, 4 in common, 5 columns.
          const left = transA ? [4, 3] : [3, 4];
          const right = transB ? [5, 4] : [4, 5];
          const shape = ([rows = 1, columns = 1]: number[], first: number) =>
            first ? [rows, 2, columns] : [2, rows, columns];
          await assertGradients({
            inputs: { a: shape(left, transBatchA), b: shape(right, transBatchB) },
            build: (graph) =>
              graph.op("FusedMatMul", ["a", "b"], {
                domain: MICROSOFT,
                attributes: {
                  transA: { int: transA },
                  transB: { int: transB },
                  transBatchA: { int: transBatchA },
                  transBatchB: { int: transBatchB },
                  alpha: { float: 0.5 },
                },
              }),
          });
        }
      }
    });

    Deno.test(`Gemm with transA ${transA}, transB ${transB} has the derivative of finite differences`, async () => {
      for (const c of [[2, 4], [4], [1, 4], []]) {
        await assertGradients({
          inputs: { a: transA ? [3, 2] : [2, 3], b: transB ? [4, 3] : [3, 4], c },
          build: (graph) =>
            graph.op("Gemm", ["a", "b", "c"], {
              attributes: {
                transA: { int: transA },
                transB: { int: transB },
                alpha: { float: 2 },
                beta: { float: 0.5 },
              },
            }),
        });
      }
    });
  }
}

Deno.test("FusedMatMul with one swapped matrix for all batches has the derivative of finite differences", async () => {
  await assertGradients({
    inputs: { a: [2, 3, 4], b: [5, 4] },
    declared: { a: [2, "P", 4], b: [5, 4] },
    build: (graph) =>
      graph.op("FusedMatMul", ["a", "b"], {
        domain: MICROSOFT,
        attributes: { transB: { int: 1 } },
      }),
  });
});

Deno.test("MatMul of unequal batches is refused, naming the shapes", () => {
  const graph = createGraph("g");
  graph.input("a", "float32", [2, 3]);
  graph.input("b", "float32", [5, 3, 4]);
  const loss = graph.op("ReduceSum", [graph.op("MatMul", ["a", "b"])], {
    attributes: { keepdims: { int: 0 } },
  });
  assertThrows(
    () => differentiate(graph.build(), { loss, by: ["a"], into: graph }),
    TypeError,
    "[2, 3] and [5, 3, 4]",
  );
});
