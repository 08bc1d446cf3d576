import { assertEquals } from "@std/assert";
import { createGraph } from "../../../kernels/onnx/graph.ts";
import { nameInCopy, repeatGraph } from "../../../kernels/onnx/repeat_graph.ts";
import { createKernel, flag, floats, floatsOf } from "../../../kernels/session.ts";

/** `x · 3`, or `x + 3` where it is told so: a constant, a branch, a size with a name. */
function example() {
  const graph = createGraph("example");
  graph.input("x", "float32", ["N"]);
  graph.input("add", "bool", [1]);
  const three = graph.constant(Float32Array.of(3), []);
  const branch = (operator: string) => {
    const inner = graph.branch(operator);
    inner.output(inner.op(operator, ["x", three]), "float32", ["N"]);
    return { graph: inner.build() };
  };
  graph.op("If", [graph.op("Squeeze", ["add"])], {
    names: ["y"],
    attributes: { then_branch: branch("Add"), else_branch: branch("Mul") },
  });
  graph.output("y", "float32", ["N"]);
  return graph.build();
}

Deno.test("repeatGraph() computes each copy of its own inputs, with constants held once", async () => {
  const one = example();
  const three = repeatGraph(one, 3);
  assertEquals(three.initializers, one.initializers);
  await using kernel = await createKernel(three);
  const feeds = Object.fromEntries([0, 1, 2].flatMap((copy) => [
    [nameInCopy(copy, "x"), floats(new Float32Array(copy + 1).fill(copy + 2), [copy + 1])],
    [nameInCopy(copy, "add"), flag(copy === 1)],
  ]));
  const found = await kernel.run(feeds);
  assertEquals(
    [0, 1, 2].map((copy) => [...floatsOf(found[nameInCopy(copy, "y")])]),
    [[6], [6, 6], [12, 12, 12]],
  );
});
