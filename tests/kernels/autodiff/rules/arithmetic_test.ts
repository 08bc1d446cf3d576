import { assertGradients } from "../_check_gradients.ts";

const SHAPES = [
  [[2, 3], [2, 3]],
  [[2, 3], [3]],
  [[3], [2, 3]],
  [[2, 1, 3], [4, 1]],
  [[1, 3], [2, 3]],
  [[], [2, 2]],
] as const;

for (const operator of ["Add", "Sub", "Mul", "Div"]) {
  Deno.test(`${operator} has the derivative of finite differences, with broadcasting`, async () => {
    for (const [a, b] of SHAPES) {
      await assertGradients({
        inputs: { a, b },
        positive: operator === "Div",
        build: (graph) => graph.op(operator, ["a", "b"]),
      });
    }
  });
}

Deno.test("Mul has the derivative of finite differences with open sizes", async () => {
  await assertGradients({
    inputs: { a: [2, 3], b: [2, 1] },
    declared: { a: ["R", "C"], b: ["R", 1] },
    build: (graph) => graph.op("Mul", ["a", "b"]),
  });
});

Deno.test("Mul of a value with itself counts both factors", async () => {
  await assertGradients({ inputs: { a: [5] }, build: (graph) => graph.op("Mul", ["a", "a"]) });
});
