import { assert, assertEquals } from "@std/assert";
import { type AdapterShape, adapterTensors, PROJECTIONS } from "../../../kernels/adapters.ts";
import { buildDeviceStepGraph } from "../../../kernels/device/device_step_graph.ts";
import { layerPorts } from "../../../kernels/device/layer_ports.ts";
import { packedTokens } from "../../../kernels/device/packed_tokens.ts";
import { inHalf } from "../../../kernels/device/half.ts";
import { createGraph } from "../../../kernels/onnx/graph.ts";
import { rotaryRows } from "../../../kernels/rope.ts";
import {
  createKernel,
  flag,
  floats,
  floatsOf,
  halves,
  integers,
  type Tensor,
} from "../../../kernels/session.ts";
import { LAYER_INPUTS, WANTED_INPUTS } from "../../../kernels/step_graph.ts";
import type { StepModel } from "../../../kernels/step_model.ts";
import { noise } from "../../_close.ts";
import { fixture, TINY } from "../../_test_model.ts";
import { describe, type DescribedModel, relativeError } from "../_soft_case.ts";

const ALL: AdapterShape = { rank: 2, projections: PROJECTIONS };
const [TOKENS, HELD, CAPACITY] = [5, 9, 16];

function feedsOf({ model, frequencies }: DescribedModel, half: boolean, adapters?: AdapterShape) {
  const { hidden, kvHeads, headDim, layers } = model;
  const shape = [kvHeads, CAPACITY, headDim];
  const entries = (seed: number) => {
    const numbers = noise(kvHeads * CAPACITY * headDim, seed);
    return half ? halves(new Float16Array(numbers), shape) : floats(numbers, shape);
  };
  const slots = Array.from(
    { length: kvHeads },
    (_, head) => Array.from({ length: TOKENS }, (_, token) => [head, HELD + token]).flat(),
  ).flat();
  const rotary = rotaryRows(frequencies[0] ?? new Float32Array(), HELD, TOKENS);
  const feeds: Record<string, Tensor> = {
    ...packedTokens({ ids: [3, 1, 4, 1], rotary: [rotary], rows: [0, TOKENS - 1] }, headDim),
    embeddings: floats(noise(hidden, 5), [1, hidden]),
    [WANTED_INPUTS]: integers([0], [1]),
    held: floats(new Float32Array(layers.length * kvHeads).fill(HELD), [layers.length, kvHeads]),
    counting: floats(Float32Array.from({ length: CAPACITY }, (_, at) => at), [CAPACITY]),
  };
  for (const layer of layers.keys()) {
    const ports = layerPorts(layer);
    feeds[ports.keys] = entries(10 + layer);
    feeds[ports.values] = entries(20 + layer);
    feeds[ports.slots] = integers(slots, [kvHeads, TOKENS, 2]);
  }
  for (const { name, shape } of adapters ? adapterTensors(model, adapters) : []) {
    feeds[name] = floats(noise(shape[0] * shape[1], 40).map((x) => x / 4), shape);
  }
  return feeds;
}

/** Outputs that are 32-bit in either graph: all but the cache's; what no token is wanted of is empty. */
async function step(described: DescribedModel, half: boolean, adapters?: AdapterShape) {
  const graph = buildDeviceStepGraph(described.model, { half, ...(adapters ? { adapters } : {}) });
  await using kernel = await createKernel(graph);
  const names = graph.outputs.map(({ name }) => name)
    .filter((name) => !name.startsWith("present") && name !== LAYER_INPUTS);
  const outputs = await kernel.run(feedsOf(described, half, adapters), names);
  return new Map(names.map((name) => [name, floatsOf(outputs[name])]));
}

async function assertNearlyEqual(described: DescribedModel, adapters?: AdapterShape) {
  const exact = await step(described, false, adapters);
  const rounded = await step(described, true, adapters);
  for (const [name, expected] of exact) {
    const error = relativeError(rounded.get(name) ?? [], expected);
    assert(error < 4e-3, `${name}: ${error}`);
    // Exactly equal numbers would mean that nothing was computed in 16 bits.
    assert(error > 0, `${name} is not rounded`);
  }
}

for (const name of TINY) {
  Deno.test(`inHalf() computes the layers of ${name} nearly as 32-bit floats do`, async () => {
    await using described = await describe(fixture(name));
    await assertNearlyEqual(described);
  });
}

for (const precision of ["int8", "int4"] as const) {
  Deno.test(`inHalf() computes with ${precision} weights nearly as 32-bit floats do`, async () => {
    await using described = await describe(fixture("gguf/tiny-q4_k_m.gguf"), precision);
    await assertNearlyEqual(described);
  });
}

Deno.test("inHalf() takes adapters of 32-bit floats", async () => {
  await using described = await describe(fixture("tiny-qwen2"));
  await assertNearlyEqual(described, ALL);
});

Deno.test("inHalf() makes every product, norm and rotation a 16-bit one", async () => {
  await using described = await describe(fixture("tiny-qwen3"), "int8");
  const model: StepModel = described.model;
  const { nodes, initializers } = buildDeviceStepGraph(model, { half: true });
  // Where 32-bit constants remain: lengths and the mask, which is computed with positions.
  const wide = new Set(
    initializers.filter(({ type }) => type === "float32").map(({ name }) => name),
  );
  const computing = nodes.filter(({ operator }) =>
    ["MatMulNBits", "Gemm", "MatMul", "RotaryEmbedding", "Mul"].includes(operator) ||
    operator.includes("LayerNormalization")
  );
  assert(computing.length > 0);
  for (const { operator, inputs } of computing) {
    const given = inputs.filter((input) => wide.has(input));
    assertEquals(given, [], operator);
  }
});

Deno.test("inHalf() reaches branches and nodes that name inputs, and leaves whole numbers alone", async () => {
  const plain = createGraph("g");
  const graph = inHalf(plain);
  graph.input("x", "float32", ["N"]);
  graph.input("at", "int64", ["M"]);
  graph.input("doubled", "bool", []);
  const branch = (factor: number) => {
    const inner = graph.branch("factor");
    const product = inner.op("Mul", ["x", inner.constant(Float32Array.of(factor), [])]);
    inner.output(product, "float16", ["N"]);
    return inner.build();
  };
  const chosen = graph.op("If", ["doubled"], {
    attributes: { then_branch: { graph: branch(2) }, else_branch: { graph: branch(3) } },
  });
  const taken = graph.op("Gather", [chosen, "at"]);
  const back = graph.op("Cast", [graph.op("Cast", [taken], { attributes: { to: { int: 7 } } })], {
    attributes: { to: { int: 1 } },
  });
  plain.op("Cast", [graph.op("Add", [taken, back])], {
    attributes: { to: { int: 1 } },
    names: ["y"],
  });
  plain.output("y", "float32", ["M"]);
  await using kernel = await createKernel(graph.build());
  const { y } = await kernel.run({
    // The last is halfway between 16-bit floats and rounds to an even one.
    x: floats(Float32Array.of(0.5, 1.25, 2049), [3]),
    at: integers([2, 1]),
    doubled: flag(true).reshape([]),
  });
  assertEquals([...floatsOf(y)], [8192, 4.5]);
});
