import { createGraph } from "../onnx/graph.ts";
import { int32s } from "../session.ts";
import type { Device, DeviceTensor } from "./device.ts";

/** A number on the device, for an input that its operator does not look at: none is sent for it. */
export async function oneInteger(device: Device): Promise<DeviceTensor> {
  const graph = createGraph("constant");
  graph.input("given", "int32", [1]);
  graph.op("Identity", ["given"], { names: ["result"] });
  graph.output("result", "int32", [1]);
  await using kernel = await device.load(graph.build(), { stay: ["result"] });
  return (await kernel.run({ given: int32s([0]) })).kept("result");
}
