import { assertGradients } from "../_check_gradients.ts";

const OPEN = { x: ["P", 2, 3] };
const CASES: readonly (readonly [string, readonly number[]])[] = [
  ["Reshape", [3, 2, -1]],
  ["Reshape", [-1]],
  ["Reshape", [0, 6]],
  ["Reshape", [-1, 2, 3, 1]],
  ["Unsqueeze", [0, -1]],
];

for (const [operator, list] of CASES) {
  Deno.test(`${operator} with ${list} has the derivative of finite differences`, async () => {
    for (const declared of [{ x: [4, 2, 3] }, OPEN]) {
      await assertGradients({
        inputs: { x: [4, 2, 3] },
        declared,
        build: (graph) => graph.op(operator, ["x", graph.integers(list)]),
      });
    }
  });
}

Deno.test("Squeeze has the derivative of finite differences", async () => {
  await assertGradients({
    inputs: { x: [1, 3, 1] },
    declared: { x: [1, "P", 1] },
    build: (graph) => graph.op("Squeeze", ["x", graph.integers([0, -1])]),
  });
});

Deno.test("Transpose has the derivative of finite differences for any permutation", async () => {
  for (const perm of [[1, 0, 2], [2, 0, 1], [0, 2, 1]]) {
    await assertGradients({
      inputs: { x: [4, 2, 3] },
      declared: OPEN,
      build: (graph) => graph.op("Transpose", ["x"], { attributes: { perm: { ints: perm } } }),
    });
  }
  await assertGradients({
    inputs: { x: [4, 2, 3] },
    build: (graph) => graph.op("Transpose", ["x"]),
  });
});

Deno.test("Reshape of two open sizes asks the value for its shape", async () => {
  await assertGradients({
    inputs: { x: [4, 2, 3] },
    declared: { x: ["P", 2, "Q"] },
    build: (graph) => graph.op("Reshape", ["x", graph.integers([-1])]),
  });
});
