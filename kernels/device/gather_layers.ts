import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph } from "../onnx/graph.ts";
import { floats } from "../session.ts";
import type { CacheElement, LayerBuffers } from "./layer_buffers.ts";
import type { Device, DeviceTensor } from "./device.ts";
import { buildsOf, loadedOnDemand } from "./on_demand.ts";
import { together } from "./together.ts";

/** Gathers entries of layers into buffers of their own. */
export interface GatherKernel extends AsyncDisposable {
  /**
   * Entries of a layer. Layers that are asked for at the same time and keep equally many go through one
   * run, with one array of slots: on a GPU, runs and arrays cost more than the copying.
   *
   * @param slots Those of each KV head, `[kvHeads, N]`.
   */
  gather(buffers: LayerBuffers, slots: Int32Array): Promise<LayerBuffers>;
}

interface Wanted {
  readonly buffers: LayerBuffers;
  readonly slots: Int32Array;
}

/** Loads graphs when they are first asked for, one for each number of layers. */
export function createGatherKernel(device: Device, element: CacheElement): GatherKernel {
  const kernels = loadedOnDemand(device);
  const builds = buildsOf((layers: number) => gatherGraph(layers, element));
  const gatherAll = async (
    group: readonly [Wanted, ...Wanted[]],
  ): Promise<readonly LayerBuffers[]> => {
    const layers = group.length;
    const [first] = group;
    const [kvHeads = 1] = first.buffers.keys.dims;
    const count = first.slots.length / kvHeads;
    const slots = new Float32Array(layers * kvHeads * count);
    const feeds: Record<string, DeviceTensor> = {};
    for (const [layer, { buffers, slots: ofLayer }] of group.entries()) {
      slots.set(ofLayer, layer * kvHeads * count);
      feeds[`keys.${layer}`] = buffers.keys;
      feeds[`values.${layer}`] = buffers.values;
    }
    const names = group.flatMap((_, layer) => [`kept_keys.${layer}`, `kept_values.${layer}`]);
    const found = await kernels.run(
      builds(layers),
      { ...feeds, slots: floats(slots, [layers, kvHeads, count]) },
      names,
    );
    return group.map((_, layer) => ({
      keys: found.kept(`kept_keys.${layer}`),
      values: found.kept(`kept_values.${layer}`),
    }));
  };
  const gather = together<Wanted, LayerBuffers>(
    (a, b) => a.slots.length === b.slots.length,
    gatherAll,
  );
  return {
    gather: (buffers, slots) => gather({ buffers, slots }),
    [Symbol.asyncDispose]: () => kernels[Symbol.asyncDispose](),
  };
}

function gatherGraph(layers: number, element: CacheElement): Graph {
  const graph = createGraph("gather_entries");
  graph.input("slots", "float32", ["L", "H", "N"]);
  for (let layer = 0; layer < layers; layer++) {
    const cut = graph.op("Slice", [
      "slots",
      graph.integers([layer]),
      graph.integers([layer + 1]),
      graph.integers([0]),
    ]);
    // Slots are whole numbers far below 2²⁴; whole ones would be cut on the processor.
    const whole = cast(graph, cut, "int32");
    const column = graph.op("Unsqueeze", [
      graph.op("Squeeze", [whole, graph.integers([0])]),
      graph.integers([2]),
    ]);
    for (const name of ["keys", "values"]) {
      graph.input(`${name}.${layer}`, element, ["H", `C${layer}`, "D"]);
      const width = graph.op("Shape", [`${name}.${layer}`], {
        attributes: { start: { int: 2 }, end: { int: 3 } },
      });
      const shape = graph.op("Concat", [graph.integers([1, 1]), width], {
        attributes: { axis: { int: 0 } },
      });
      const indices = graph.op("Expand", [column, shape]);
      graph.op("GatherElements", [`${name}.${layer}`, indices], {
        names: [`kept_${name}.${layer}`],
        attributes: { axis: { int: 1 } },
      });
      graph.output(`kept_${name}.${layer}`, element, ["H", "N", "D"]);
    }
  }
  return graph.build();
}
