import { assertGradients } from "../_check_gradients.ts";

for (const operator of ["ReduceSum", "ReduceMean", "ReduceMax"]) {
  Deno.test(`${operator} has the derivative of finite differences`, async () => {
    for (const keepdims of [0, 1]) {
      for (const axes of [[1], [0, 2], [-1], []]) {
        for (const declared of [[2, 3, 4], ["A", 3, "C"]]) {
          await assertGradients({
            inputs: { x: [2, 3, 4] },
            declared: { x: declared },
            build: (graph) =>
              graph.op(operator, axes.length === 0 ? ["x"] : ["x", graph.integers(axes)], {
                attributes: { keepdims: { int: keepdims } },
              }),
          });
        }
      }
    }
  });
}

Deno.test("ReduceMean beside another use adds up with it", async () => {
  await assertGradients({
    inputs: { x: [2, 3, 4] },
    declared: { x: [2, 3, "N"] },
    build: (graph) => graph.op("Mul", ["x", graph.op("ReduceMean", ["x", graph.integers([1])])]),
  });
});
