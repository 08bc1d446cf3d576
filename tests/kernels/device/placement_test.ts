import { assert, assertEquals } from "@std/assert";
import {
  buildDeviceStepGraph,
  buildEvenStepGraph,
} from "../../../kernels/device/device_step_graph.ts";
import { withoutFusedMatMul } from "../../../kernels/device/gemm.ts";
import { createGraph, type Graph, MICROSOFT } from "../../../kernels/onnx/graph.ts";
import { h2o, kvZap, whileDecoding } from "../../../policies/mod.ts";
import type { Precision } from "../../../runtime/weights/precisions.ts";
import { twinModel } from "../../_device_model.ts";
import { onProcessor } from "../../_placement.ts";
import { smallPolicies } from "../../_small_policies.ts";
import { surrogateFile } from "../../_surrogate_file.ts";
import { fixture, randomIds } from "../../_test_model.ts";
import { probed } from "../../_vulkan.ts";
import { describe } from "../_soft_case.ts";

const [, webgpu] = await probed();
// Graphs are placed in processes of their own: once is enough.
const ignore = webgpu?.works !== true || Deno.env.get("KVJUDGE_TEST_DEVICE") !== undefined;

/** What reckons with shapes: a few whole numbers, which are nowhere else than in main memory. */
const OF_SHAPES = new Set([
  "Concat",
  "Equal",
  "Expand",
  "Identity",
  "Reshape",
  "Shape",
  "Slice",
  "Squeeze",
  "Unsqueeze",
]);

function product(): Graph {
  const graph = createGraph("product");
  graph.input("x", "float32", ["S", 8]);
  const weight = graph.constant(new Float32Array(32), [4, 8]);
  graph.op("FusedMatMul", [graph.op("Neg", ["x"]), weight], {
    domain: MICROSOFT,
    attributes: { transB: { int: 1 } },
    names: ["y"],
  });
  graph.output("y", "float32", ["S", 4]);
  return graph.build();
}

Deno.test({
  name: "withoutFusedMatMul() brings products to the device",
  ignore,
  async fn() {
    assertEquals(await onProcessor(product()), ["FusedMatMul"]);
    assertEquals(await onProcessor(withoutFusedMatMul(product())), []);
  },
});

const CASES: readonly (readonly [string, Precision])[] = [
  ["tiny-llama", "fp32"],
  ["tiny-qwen2", "int8"],
  ["tiny-qwen3", "int8"],
  ["gguf/tiny-q4_k_m.gguf", "int4"],
];

for (const [name, precision] of CASES) {
  Deno.test({
    name: `buildDeviceStepGraph() of ${name} in ${precision} leaves the processor only shapes`,
    ignore,
    async fn() {
      await using described = await describe(fixture(name), precision);
      for (const half of [false, true]) {
        for (
          const graph of [
            buildDeviceStepGraph(described.model, { half }),
            buildEvenStepGraph(described.model, { half }).graph,
          ]
        ) {
          const left = await onProcessor(graph);
          assert(left.every((operator) => OF_SHAPES.has(operator)), `${graph.name}: ${left}`);
        }
      }
    },
  });
}

Deno.test({
  name: "no policy's graph, and none of the cache's, computes with floats on the processor",
  ignore,
  async fn() {
    await using twin = await twinModel("tiny-llama31");
    const { device } = twin.there;
    const graphs = new Map<string, Graph>();
    const load = device.load.bind(device);
    device.load = (graph, options) => {
      graphs.set(`${graph.name} ${graph.nodes.map(({ operator }) => operator)}`, graph);
      return load(graph, options);
    };
    const ids = randomIds(48, twin.host.model.config.vocabulary, 3);
    const surrogate = surrogateFile(twin.host.model.engine.config, (layer) => layer === 0);
    const policies = [
      ...(await smallPolicies()).map(({ policy }) => policy),
      whileDecoding({ inner: kvZap({ surrogate, window: 4 }), every: 2 }),
      whileDecoding({ inner: h2o({ recent: 2 }), every: 2 }),
    ];
    for (const policy of policies) {
      await using session = twin.session({ policy, budget: 20 });
      const generation = session.generate({ ids }, { maxTokens: 3 });
      for await (const _ of generation);
    }
    assert(graphs.size > 20);
    for (const [name, graph] of graphs) {
      const left = await onProcessor(graph);
      assert(left.every((operator) => OF_SHAPES.has(operator)), `${name}: ${left.join(", ")}`);
    }
  },
});
