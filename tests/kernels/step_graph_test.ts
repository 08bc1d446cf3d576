import { assertEquals, assertRejects } from "@std/assert";
import { type AdapterShape, adapterTensors, PROJECTIONS } from "../../kernels/adapters.ts";
import type { Graph } from "../../kernels/onnx/graph.ts";
import { rotaryRows } from "../../kernels/rope.ts";
import { createStepKernel, type StepInputs } from "../../kernels/step.ts";
import { buildStepGraph } from "../../kernels/step_graph.ts";
import type { Linear, StepModel } from "../../kernels/step_model.ts";
import { readFloatWeight } from "./_weight_file.ts";
import { assertClose, noise } from "../_close.ts";
import { fixture } from "../_test_model.ts";
import { describe, type DescribedModel } from "./_soft_case.ts";

const ALL: AdapterShape = { rank: 3, projections: PROJECTIONS };

type Adapters = Readonly<Record<string, Float32Array>>;

function randomAdapters(model: StepModel): Record<string, Float32Array> {
  return Object.fromEntries(
    adapterTensors(model, ALL).map(({ name, shape: [rows, columns] }, index) => [
      name,
      noise(rows * columns, index + 1).map((value) => value / 4),
    ]),
  );
}

/** A step of soft tokens over a random cache. */
function softStep({ model, frequencies }: DescribedModel, tokens: number): StepInputs {
  const { hidden, kvHeads, headDim, layers } = model;
  const past = 9;
  return {
    ids: [],
    embeddings: noise(tokens * hidden, 50),
    rotary: frequencies.map((ofRope) => rotaryRows(ofRope, past, tokens)),
    rows: [tokens - 1],
    past: layers.map((_, layer) => ({
      keys: noise(past * kvHeads * headDim, 60 + layer),
      values: noise(past * kvHeads * headDim, 70 + layer),
    })),
    observe: true,
    queries: true,
  };
}

/** A model whose matrices hold their adapters, `W + (a·b)ᵀ`, in files of a folder. */
function merged(model: StepModel, adapters: Adapters, folder: string): StepModel {
  const merge = ({ weight, ...rest }: Linear, layer: number, projection: string): Linear => {
    const { rows, columns } = weight;
    const matrix = readFloatWeight(weight);
    const [a, b] = ["a", "b"].map((part) => adapters[`adapter.${layer}.${projection}.${part}`]);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        let sum = matrix[row * columns + column] ?? NaN;
        for (let r = 0; r < ALL.rank; r++) {
          sum += (a?.[column * ALL.rank + r] ?? NaN) * (b?.[r * rows + row] ?? NaN);
        }
        matrix[row * columns + column] = sum;
      }
    }
    const file = `${folder}/${layer}.${projection}.bin`;
    Deno.writeFileSync(file, new Uint8Array(matrix.buffer));
    const place = { file, offset: 0, length: matrix.byteLength };
    return { ...rest, weight: { kind: "float", type: "float32", rows, columns, place } };
  };
  return {
    ...model,
    layers: model.layers.map((layer, index) => ({
      ...layer,
      qkv: layer.qkv.map((linear, part) => merge(linear, index, ["q", "k", "v"][part] ?? "")),
      attentionOutput: merge(layer.attentionOutput, index, "o"),
      gate: merge(layer.gate, index, "gate"),
      up: merge(layer.up, index, "up"),
      down: merge(layer.down, index, "down"),
    })),
  };
}

async function run(model: StepModel, inputs: StepInputs, adapters?: Adapters) {
  await using kernel = await createStepKernel(model, 1, adapters ? { adapters: ALL } : {});
  const { logits, entries, queries, attentionSums } = await kernel.run({
    ...inputs,
    ...(adapters ? { adapters } : {}),
  });
  const flat = (arrays: readonly Float32Array[]) => arrays.flatMap((array) => [...array]);
  return {
    logits: [...logits],
    entries: flat(entries.flatMap(({ keys, values }) => [keys, values])),
    queries: flat(queries),
    attentionSums: flat(attentionSums),
  };
}

for (const name of ["tiny-llama", "tiny-qwen2", "tiny-qwen3", "tiny-gemma3"]) {
  Deno.test(`createStepKernel() with adapters of ${name} equals the product with merged weights`, async () => {
    await using described = await describe(fixture(name));
    const folder = await Deno.makeTempDir();
    try {
      const { model } = described;
      const adapters = randomAdapters(model);
      // A single token goes the same way as many.
      for (const tokens of [1, 5]) {
        const inputs = softStep(described, tokens);
        const [actual, expected] = [
          await run(model, inputs, adapters),
          await run(merged(model, adapters, folder), inputs),
        ];
        for (const part of ["logits", "entries", "queries", "attentionSums"] as const) {
          assertClose(actual[part], expected[part], { absolute: 1e-4, relative: 1e-4 }, part);
        }
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("createStepKernel() with adapters whose b is zero is as without", async () => {
  for (const precision of ["fp32", "int8"] as const) {
    await using described = await describe(fixture("tiny-mistral"), precision);
    const { model } = described;
    const adapters = randomAdapters(model);
    for (const [name, values] of Object.entries(adapters)) if (name.endsWith(".b")) values.fill(0);
    const inputs = softStep(described, 5);
    assertEquals(await run(model, inputs, adapters), await run(model, inputs));
  }
});

Deno.test("kernel.run() refuses adapters that are missing", async () => {
  await using described = await describe(fixture("tiny-llama"));
  await using kernel = await createStepKernel(described.model, 1, { adapters: ALL });
  await assertRejects(
    () => kernel.run(softStep(described, 2)),
    TypeError,
    "Cannot apply adapter.0.q.a: expected 64 × 3 numbers, got none",
  );
});

Deno.test("buildStepGraph() has the branch for one token only without adapters", async () => {
  await using described = await describe(fixture("tiny-llama"));
  const inputsOf = (adapters: boolean) => {
    const graph = buildStepGraph(described.model, adapters ? { adapters: ALL } : {});
    const branches = graph.nodes.filter(({ attributes: { then_branch: branch } }) =>
      branch && "graph" in branch && branch.graph.name === "decode"
    );
    return {
      decode: branches.length,
      adapters: graph.inputs.filter(({ name }) => name.startsWith("adapter.")).length,
    };
  };
  assertEquals(inputsOf(false), { decode: 1, adapters: 0 });
  assertEquals(inputsOf(true), { decode: 0, adapters: 3 * 7 * 2 });
});

Deno.test("buildStepGraph() rounds activations to bytes for one token alone", async () => {
  await using described = await describe(fixture("tiny-llama"), "int8");
  const levels = ({ nodes }: Graph) =>
    nodes.flatMap(({ operator, attributes: { accuracy_level: level } }) =>
      operator === "MatMulNBits" && level && "int" in level ? [level.int] : []
    );
  const branchesOf = ({ nodes }: Graph) =>
    nodes.flatMap(({ attributes }) =>
      [attributes.then_branch, attributes.else_branch].flatMap((branch) =>
        branch && "graph" in branch ? [branch.graph] : []
      )
    );
  const graph = buildStepGraph(described.model);
  const branches = branchesOf(graph).slice(0, 2);
  const products = 3 * 5;
  const unpacked = ({ nodes }: Graph) =>
    nodes.filter(({ operator }) => operator === "DequantizeLinear").length;
  assertEquals(
    branches.map((branch) => [branch.name, levels(branch), unpacked(branch)]),
    [["decode", new Array(products).fill(4), 0], ["prefill", [], products]],
  );
  // The product with the output matrix is one, of rounded rows and of what rounding took from them.
  assertEquals(levels(graph), [4]);
  const adapted = buildStepGraph(described.model, { adapters: ALL });
  assertEquals([levels(adapted), unpacked(adapted)], [[4], products]);
});
