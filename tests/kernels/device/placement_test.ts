import { assert, assertEquals } from "@std/assert";
import { buildDeviceStepGraph } from "../../../kernels/device/device_step_graph.ts";
import { withoutFusedMatMul } from "../../../kernels/device/gemm.ts";
import { createGraph, type Graph, MICROSOFT } from "../../../kernels/onnx/graph.ts";
import type { Precision } from "../../../runtime/weights/precisions.ts";
import { onProcessor } from "../../_placement.ts";
import { fixture } from "../../_test_model.ts";
import { probed } from "../../_vulkan.ts";
import { describe } from "../_soft_case.ts";

const [, webgpu] = await probed();
const ignore = webgpu?.works !== true;

/** What reckons with shapes: a few whole numbers, which are nowhere else than in main memory. */
const OF_SHAPES = new Set(["Concat", "Identity", "Reshape", "Shape", "Slice", "Unsqueeze"]);

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
        const left = await onProcessor(buildDeviceStepGraph(described.model, { half }));
        assert(left.every((operator) => OF_SHAPES.has(operator)), left.join(", "));
      }
    },
  });
}
