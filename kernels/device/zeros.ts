import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph } from "../onnx/graph.ts";
import { integers } from "../session.ts";
import type { Device, DeviceKernel, DeviceTensor } from "./device.ts";

/** Makes tensors of zeros. Owns its graphs. */
export interface ZeroMaker extends AsyncDisposable {
  zeros(dims: readonly number[], type?: "float32" | "float16"): Promise<DeviceTensor>;
}

/** Loads a graph for each type and number of sizes when it is first needed. */
export function createZeroMaker(device: Pick<Device, "load">): ZeroMaker {
  const makers = new Map<string, Promise<DeviceKernel>>();
  return {
    async zeros(dims, type = "float32") {
      const key = `${type} ${dims.length}`;
      const made = makers.get(key) ?? device.load(zeros(type, dims.length), { stay: ["zeros"] });
      makers.set(key, made);
      return (await (await made).run({ size: integers(dims) })).kept("zeros");
    },
    async [Symbol.asyncDispose]() {
      const loaded = [...makers.values()];
      makers.clear();
      for (const kernel of loaded) await (await kernel)[Symbol.asyncDispose]();
    },
  };
}

function zeros(type: "float32" | "float16", rank: number): Graph {
  const graph = createGraph("zeros");
  graph.input("size", "int64", ["R"]);
  const zero = graph.constant(new Float32Array(1), [1]);
  const typed = type === "float32" ? zero : cast(graph, zero, "float16");
  // Not ConstantOfShape, which would make its zeros on the processor.
  graph.op("Expand", [typed, "size"], { names: ["zeros"] });
  graph.output("zeros", type, Array.from({ length: rank }, (_, axis) => `D${axis}`));
  return graph.build();
}
