import { floats } from "../session.ts";
import { createGraph } from "../onnx/graph.ts";
import type { Device, DeviceKernel, DeviceTensor } from "./device.ts";

/** The floats 0, 1, 2 and so on, kept on a device: slots are compared with them. */
export interface Counting extends AsyncDisposable {
  /** At least so many of them. Valid as long as the counting is. */
  atLeast(count: number): Promise<DeviceTensor>;
}

/** Begins to count when asked. */
export function createCounting(device: Device): Counting {
  let kernel: Promise<DeviceKernel> | undefined;
  // Fewer numbers stay for runs that were given them: all together are twice the most.
  const held: DeviceTensor[] = [];
  return {
    async atLeast(count) {
      const known = held.find(({ dims: [size = 0] }) => size >= count);
      if (known) return known;
      const size = 2 ** Math.ceil(Math.log2(Math.max(count, 1024)));
      const { run } = await (kernel ??= device.load(sendGraph(), { stay: ["result"] }));
      const numbers = Float32Array.from({ length: size }, (_, index) => index);
      const made = (await run({ numbers: floats(numbers, [size]) })).kept("result");
      held.push(made);
      return made;
    },
    async [Symbol.asyncDispose]() {
      for (const one of held.splice(0)) one[Symbol.dispose]();
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
