import { floats } from "../session.ts";
import { createGraph } from "../onnx/graph.ts";
import type { Device, DeviceKernel, DeviceTensor } from "./device.ts";

/** The floats 0, 1, 2 and so on, kept on a device: slots are compared with them. */
export interface Counting extends AsyncDisposable {
  /** At least so many of them. Valid until more are asked for. */
  atLeast(count: number): Promise<DeviceTensor>;
}

/** Begins to count when asked. */
export function createCounting(device: Device): Counting {
  let kernel: Promise<DeviceKernel> | undefined;
  let held: DeviceTensor | undefined;
  return {
    async atLeast(count) {
      if (held && (held.dims[0] ?? 0) >= count) return held;
      const size = 2 ** Math.ceil(Math.log2(Math.max(count, 1024)));
      const { run } = await (kernel ??= device.load(sendGraph(), { stay: ["result"] }));
      held?.[Symbol.dispose]();
      const numbers = Float32Array.from({ length: size }, (_, index) => index);
      held = (await run({ numbers: floats(numbers, [size]) })).kept("result");
      return held;
    },
    async [Symbol.asyncDispose]() {
      held?.[Symbol.dispose]();
      await (await kernel)?.[Symbol.asyncDispose]();
    },
  };
}

function sendGraph() {
  const graph = createGraph("counting");
  graph.input("numbers", "float32", ["N"]);
  graph.op("Identity", ["numbers"], { names: ["result"] });
  graph.output("result", "float32", ["N"]);
  return graph.build();
}
