import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { differentiate } from "../../../kernels/autodiff/differentiate.ts";
import { createGraph, type GraphBuilder, type Value } from "../../../kernels/onnx/graph.ts";
import { createKernel, flag, floats, floatsOf } from "../../../kernels/session.ts";
import { assertGradients } from "./_check_gradients.ts";

const sum = (graph: GraphBuilder, value: Value) =>
  graph.op("ReduceSum", [value], { attributes: { keepdims: { int: 0 } } });

function graphOf(...inputs: readonly string[]): GraphBuilder {
  const graph = createGraph("g");
  for (const name of inputs) graph.input(name, "float32", [2]);
  return graph;
}

Deno.test("differentiate() names an operator that has no rule", () => {
  const graph = graphOf("x");
  const loss = sum(graph, graph.op("Erf", ["x"]));
  assertThrows(
    () => differentiate(graph.build(), { loss, by: ["x"], into: graph }),
    TypeError,
    "Cannot differentiate the operator Erf",
  );
});

Deno.test("differentiate() emits nothing for what is frozen, whatever makes it", () => {
  const graph = graphOf("x", "frozen");
  const scale = graph.op("Reshape", [graph.op("Erf", ["frozen"]), graph.integers([2])]);
  const turned = graph.op("RotaryEmbedding", ["x", scale, scale, scale]);
  const loss = sum(graph, turned);
  const before = graph.build().nodes.length;
  differentiate(graph.build(), { loss, by: ["x"], into: graph });
  const emitted = graph.build().nodes.slice(before).map(({ operator }) => operator);
  assertEquals(emitted, ["Unsqueeze", "Expand", "Neg", "RotaryEmbedding"]);
});

Deno.test("differentiate() names the operator that hides a shape it needs", () => {
  const graph = graphOf("x", "frozen");
  const loss = sum(graph, graph.op("Mul", ["x", graph.op("Erf", ["frozen"])]));
  assertThrows(
    () => differentiate(graph.build(), { loss, by: ["x"], into: graph }),
    TypeError,
    "the operator Erf that makes it has no rule",
  );
});

Deno.test("differentiate() leaves out what the loss does not depend on", () => {
  const graph = graphOf("x", "unused");
  const used = graph.op("Neg", ["x"]);
  graph.op("Neg", ["unused"]);
  const loss = sum(graph, used);
  const gradients = differentiate(graph.build(), { loss, by: ["x", "unused", used], into: graph });
  assertEquals([...gradients.keys()], ["x", used]);
});

Deno.test("differentiate() refuses a loss of several numbers, naming its shape", () => {
  const graph = graphOf("x");
  const loss = graph.op("Neg", ["x"]);
  assertThrows(
    () => differentiate(graph.build(), { loss, by: ["x"], into: graph }),
    TypeError,
    "[2]: a loss is a single number",
  );
});

Deno.test("differentiate() emits into a branch that sees the forward values", async () => {
  const graph = graphOf("x");
  graph.input("wanted", "bool", []);
  const loss = sum(graph, graph.op("Exp", ["x"]));
  const [some, none] = [graph.branch("some"), graph.branch("none")];
  const gradient = differentiate(graph.build(), { loss, by: ["x"], into: some }).get("x") ?? "";
  some.output(gradient, "float32", [2]);
  none.output(none.op("Identity", [none.constant(new Float32Array(0), [0])]), "float32", [0]);
  graph.ops("If", ["wanted"], 1, {
    names: ["gradient"],
    attributes: { then_branch: { graph: some.build() }, else_branch: { graph: none.build() } },
  });
  graph.output("gradient", "float32", ["N"]);
  await using kernel = await createKernel(graph.build());
  const run = async (wanted: boolean) => {
    const outputs = await kernel.run({
      x: floats(Float32Array.of(0, 1), [2]),
      wanted: flag(wanted).reshape([]),
    });
    return [...floatsOf(outputs.gradient)];
  };
  assertEquals(await run(true), [1, Math.fround(Math.E)]);
  assertEquals(await run(false), []);
});

Deno.test("assertGradients() fails where the derivative is not that of the differences", async () => {
  // Differences of this step do not follow such a steep function.
  const build = (graph: GraphBuilder) =>
    graph.op("Exp", [graph.op("Mul", ["x", graph.constant(Float32Array.of(60), [])])]);
  await assertRejects(
    () => assertGradients({ inputs: { x: [3] }, positive: true, build }),
    Error,
    "gradient of x",
  );
});
