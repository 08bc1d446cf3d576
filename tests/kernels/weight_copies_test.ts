import { assert, assertEquals } from "@std/assert";
import { type AdapterShape, adapterTensors, PROJECTIONS } from "../../kernels/adapters.ts";
import type { Graph } from "../../kernels/onnx/graph.ts";
import { rotaryRows } from "../../kernels/rope.ts";
import { createStepKernel, type StepInputs, type StepOutputs } from "../../kernels/step.ts";
import { buildStepGraph, type StepGraphOptions } from "../../kernels/step_graph.ts";
import type { StepModel } from "../../kernels/step_model.ts";
import { assertClose, noise } from "../_close.ts";
import { writeGguf } from "../_random_checkpoint.ts";
import { fixture } from "../_test_model.ts";
import { describe, type DescribedModel } from "./_soft_case.ts";

const PAST = 11;
const ADAPTERS: AdapterShape = { rank: 3, projections: PROJECTIONS };

/** Some tokens over a random cache. */
function stepOf(
  { model, frequencies }: DescribedModel,
  tokens: number,
  { past = PAST, ragged = false }: { past?: number; ragged?: boolean } = {},
): StepInputs {
  const { kvHeads, headDim, layers, layerKinds } = model;
  return {
    ids: Array.from({ length: tokens }, (_, index) => 3 + index),
    rotary: frequencies.map((ofRope) => rotaryRows(ofRope, past, tokens)),
    rows: [tokens - 1],
    past: layers.map((_, layer) => {
      const held = Math.min(past, (layerKinds[layer]?.window ?? Infinity) - 1);
      const segments = Array.from({ length: kvHeads }, (_, head) => ({
        start: held * head,
        length: held - head,
      }));
      return {
        keys: noise(held * kvHeads * headDim, 60 + layer),
        values: noise(held * kvHeads * headDim, 70 + layer),
        ...(ragged ? { segments } : {}),
      };
    }),
    queries: true,
  };
}

async function run(model: StepModel, options: StepGraphOptions, inputs: readonly StepInputs[]) {
  await using kernel = await createStepKernel(model, 1, options);
  const outputs: StepOutputs[] = [];
  for (const step of inputs) outputs.push(await kernel.run(step));
  return outputs.map(({ logits, entries, queries, attentionSums }) => ({
    logits,
    entries: joined(entries.flatMap(({ keys, values }) => [keys, values])),
    queries: joined(queries),
    attentionSums: joined(attentionSums),
  }));
}

function joined(arrays: readonly Float32Array[]): Float32Array {
  return Float32Array.from(arrays.flatMap((array) => [...array]));
}

/** Root mean square of what numbers differ by, as a share of that of what is expected. */
function distance(actual: ArrayLike<number>, expected: Float32Array = new Float32Array(0)): number {
  assertEquals(actual.length, expected.length);
  if (expected.length === 0) return 0;
  const squares = expected.reduce(
    (sum, value, index) => sum + (value - (actual[index] ?? NaN)) ** 2,
    0,
  );
  return Math.sqrt(squares / expected.reduce((sum, value) => sum + value ** 2, 0));
}

/** Models in 4 bits, with and without offsets, and in 8, with norms of heads, windows and biases. */
async function eachModel(
  check: (described: DescribedModel, name: string) => Promise<void> | void,
) {
  for (const name of ["tiny-llama", "tiny-qwen2", "tiny-qwen3", "tiny-gemma3"]) {
    await using described = await describe(fixture(name), "int8");
    await check(described, name);
  }
  for (const type of ["Q4_0", "Q4_1"] as const) {
    const folder = await Deno.makeTempDir();
    try {
      const path = `${folder}/model.gguf`;
      await writeGguf(path, { hidden: 64, intermediate: 128 }, { type });
      await using described = await describe(path, "int4");
      await check(described, type);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
}

Deno.test("a step graph with one copy of the weights answers as one with two", async () => {
  await eachModel(async (described, name) => {
    const ragged = described.model.layerKinds.every(({ window }) => window === undefined);
    const steps = [
      stepOf(described, 1),
      ...(ragged ? [stepOf(described, 1, { ragged: true })] : []),
    ];
    const [one, two] = [
      await run(described.model, { copies: "one" }, steps),
      await run(described.model, { copies: "two" }, steps),
    ];
    for (const [index, step] of two.entries()) {
      for (const part of ["logits", "entries"] as const) {
        // The runtime adds biases at another place: the last bit may differ.
        const close = { absolute: 2e-5, relative: 2e-5 };
        assertClose(one[index]?.[part] ?? [], step[part], close, `${name}, step ${index}, ${part}`);
      }
    }
  });
});

Deno.test("a step graph with one copy of the weights reads prompts as exactly as floats", async () => {
  await eachModel(async (described, name) => {
    const ragged = described.model.layerKinds.every(({ window }) => window === undefined);
    const steps = [
      stepOf(described, 5),
      stepOf(described, 4, { past: 0 }),
      stepOf(described, 1, { past: 0 }),
      { ...stepOf(described, 6), observe: true },
      ...(ragged ? [{ ...stepOf(described, 5, { ragged: true }), observe: true }] : []),
    ];
    const [one, two] = [
      await run(described.model, { copies: "one" }, steps),
      await run(described.model, { copies: "two" }, steps),
    ];
    for (const [index, step] of two.entries()) {
      for (const part of ["logits", "entries", "queries", "attentionSums"] as const) {
        const error = distance(one[index]?.[part] ?? [], step[part]);
        // Bytes once come to 1e-2 and more.
        assert(error < 4e-4, `${name}, step ${index}, ${part}: ${error}`);
      }
    }
  });
});

Deno.test("a step graph with one copy of the weights has one product with each matrix", async () => {
  await eachModel(({ model }, name) => {
    const products = (options: StepGraphOptions) => {
      const used = new Map<string, number>();
      const visit = ({ nodes }: Graph): void => {
        for (const { operator, inputs: [, matrix = ""], attributes } of nodes) {
          if (operator === "MatMulNBits") used.set(matrix, (used.get(matrix) ?? 0) + 1);
          if (operator === "DequantizeLinear") used.set("unpacked", 1);
          for (const attribute of Object.values(attributes)) {
            if ("graph" in attribute) visit(attribute.graph);
          }
        }
      };
      visit(buildStepGraph(model, options));
      return [...used.values()];
    };
    const matrices = model.layers.reduce((sum, { qkv }) => sum + qkv.length + 4, 1);
    assertEquals(products({ copies: "one" }), new Array(matrices).fill(1), name);
    const adapted = products({ copies: "one", adapters: ADAPTERS });
    assertEquals(adapted, new Array(matrices).fill(1), name);
  });
});

Deno.test("a step graph with one copy of the weights takes adapters of any rank, and none", async () => {
  await eachModel(async (described, name) => {
    const { model } = described;
    const adaptersOf = (shape: AdapterShape) =>
      Object.fromEntries(
        adapterTensors(model, shape).map(({ name, shape: [rows, columns] }, index) => [
          name,
          noise(rows * columns, index + 1).map((value) => value / 4),
        ]),
      );
    const adapters = adaptersOf(ADAPTERS);
    const wider = adaptersOf({ rank: 5, projections: ["q", "down"] });
    const [step, answer] = [stepOf(described, 5), stepOf(described, 1)];
    const one = { copies: "one", adapters: ADAPTERS } as const;
    const [first, second, plain, answered] = await run(model, one, [
      { ...step, adapters },
      { ...step, adapters: wider },
      step,
      answer,
    ]);
    const [expected] = await run(model, { adapters: ADAPTERS }, [{ ...step, adapters }]);
    const fewer: AdapterShape = { rank: 5, projections: ["q", "down"] };
    const [expectedWider] = await run(model, { adapters: fewer }, [{ ...step, adapters: wider }]);
    for (const [actual, wanted] of [[first, expected], [second, expectedWider]]) {
      const error = distance(actual?.logits ?? [], wanted?.logits);
      assert(error < 1e-3, `${name}: ${error}`);
    }
    // Without adapters the bits are those of a graph that has none.
    assertEquals([plain, answered], await run(model, { copies: "one" }, [step, answer]), name);
  });
});
