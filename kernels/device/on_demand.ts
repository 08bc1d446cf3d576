import type { Graph } from "../onnx/graph.ts";
import type { Tensor } from "../session.ts";
import { createCounting } from "./counting.ts";
import type { Device, DeviceKernel, DeviceOutputs, DeviceTensor } from "./device.ts";

/** Graphs that are loaded when they first run. Owns them. */
export interface OnDemand extends AsyncDisposable {
  /**
   * Runs a graph.
   *
   * @param build Makes it; the same function stands for the same graph.
   * @param stay Outputs that stay on the device; always the same ones for a graph.
   */
  run(
    build: () => Graph,
    feeds: Readonly<Record<string, Tensor | DeviceTensor>>,
    stay?: readonly string[],
  ): Promise<DeviceOutputs>;
  /** At least so many of the floats 0, 1, 2 and so on. Valid as long as the kernels are. */
  counting(count: number): Promise<DeviceTensor>;
}

/**
 * Builds of graphs that differ in how they are made: one and the same function for what is alike, since that is
 * what {@linkcode OnDemand.run} knows a graph by.
 *
 * @param build Makes a graph. What it is told must be as JSON what it is.
 */
export function buildsOf<Spec>(build: (spec: Spec) => Graph): (spec: Spec) => () => Graph {
  const known = new Map<string, () => Graph>();
  return (spec) => {
    const key = JSON.stringify(spec);
    const found = known.get(key) ?? (() => build(spec));
    known.set(key, found);
    return found;
  };
}

/** Loads nothing yet. */
export function loadedOnDemand(device: Device): OnDemand {
  const loaded = new Map<() => Graph, Promise<DeviceKernel>>();
  const counting = createCounting(device);
  return {
    async run(build, feeds, stay = []) {
      const kernel = loaded.get(build) ?? device.load(build(), { stay });
      loaded.set(build, kernel);
      try {
        return await (await kernel).run(feeds);
      } catch (error) {
        await kernel.catch(() => loaded.delete(build));
        throw error;
      }
    },
    counting: (count) => counting.atLeast(count),
    async [Symbol.asyncDispose]() {
      await counting[Symbol.asyncDispose]();
      const kernels = [...loaded.values()];
      loaded.clear();
      for (const kernel of kernels) await (await kernel)[Symbol.asyncDispose]();
    },
  };
}
