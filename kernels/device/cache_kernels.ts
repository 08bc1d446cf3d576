import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph, type GraphBuilder, type Value } from "../onnx/graph.ts";
import { floats, integers } from "../session.ts";
import type { Device, DeviceTensor } from "./device.ts";
import { createGatherKernel } from "./gather_layers.ts";
import type { CacheElement, LayerBuffers } from "./layer_buffers.ts";
import { loadedOnDemand } from "./on_demand.ts";
import { together } from "./together.ts";

/** What is done to the buffers of a cache, `[kvHeads, capacity, headDim]`, without their leaving. */
export interface CacheKernels extends AsyncDisposable {
  /** Entries of a layer, the slots of each KV head `[kvHeads, N]`, in buffers of their own. */
  gather(buffers: LayerBuffers, slots: Int32Array): Promise<LayerBuffers>;
  /** A copy of a layer with more slots. Layers that are asked for at the same time go through one run. */
  grown(buffers: LayerBuffers, capacity: number): Promise<LayerBuffers>;
  /** Entries of two layers, one behind the other, in buffers of their own. */
  joined(first: LayerBuffers, second: LayerBuffers): Promise<LayerBuffers>;
  /** A copy. */
  copied(entries: DeviceTensor): Promise<DeviceTensor>;
  /** Keys rerotated by an angle each: `cos` and `sin` are `[kvHeads, capacity, headDim / 2]`. */
  rerotated(entries: DeviceTensor, cos: Float32Array, sin: Float32Array): Promise<DeviceTensor>;
  /** The numbers, in main memory. */
  read(entries: DeviceTensor): Promise<Float32Array>;
  /** Brings numbers from main memory. */
  written(numbers: Float32Array, dims: readonly number[]): Promise<DeviceTensor>;
}

/** Loads kernels when they are first asked for. */
export function createCacheKernels(device: Device, element: CacheElement): CacheKernels {
  const kernels = loadedOnDemand(device);
  const gathering = createGatherKernel(device, element);
  const builds = {
    join: () => joinGraph(element),
    copy: () => copyGraph(element),
    rerotate: () => rerotateGraph(element),
    read: () => readGraph(element),
    write: () => writeGraph(element),
  };
  const growing = new Map<number, () => Graph>();
  const grow = together<Growth, LayerBuffers>(
    (a, b) => a.capacity - slotsOf(a) === b.capacity - slotsOf(b),
    async (group) => {
      const layers = group.length;
      const build = growing.get(layers) ?? (() => growGraph(layers, element));
      growing.set(layers, build);
      const [first] = group;
      const feeds = Object.fromEntries(group.flatMap(({ buffers: { keys, values } }, layer) => [
        [`keys.${layer}`, keys] as const,
        [`values.${layer}`, values] as const,
      ]));
      const pads = integers([0, 0, 0, 0, first.capacity - slotsOf(first), 0]);
      const names = group.flatMap((_, layer) => [`grown_keys.${layer}`, `grown_values.${layer}`]);
      const found = await kernels.run(build, { ...feeds, pads }, names);
      return group.map((_, layer) => ({
        keys: found.kept(`grown_keys.${layer}`),
        values: found.kept(`grown_values.${layer}`),
      }));
    },
  );
  const kept = async (name: keyof typeof builds, feeds: Parameters<typeof kernels.run>[1]) =>
    (await kernels.run(builds[name], feeds, ["result"])).kept("result");
  return {
    gather: gathering.gather,
    grown: (buffers, capacity) => grow({ buffers, capacity }),
    async joined(first, second) {
      const found = await kernels.run(builds.join, {
        ...{ first_keys: first.keys, first_values: first.values },
        ...{ second_keys: second.keys, second_values: second.values },
      }, ["joined_keys", "joined_values"]);
      return { keys: found.kept("joined_keys"), values: found.kept("joined_values") };
    },
    copied: (entries) => kept("copy", { entries }),
    rerotated(entries, cos, sin) {
      const [kvHeads = 1, capacity = 0, headDim = 0] = entries.dims;
      const shape = [kvHeads, capacity, headDim / 2];
      return kept("rerotate", { entries, cos: floats(cos, shape), sin: floats(sin, shape) });
    },
    read: async (entries) => (await kernels.run(builds.read, { entries })).floats("result"),
    written: (numbers, dims) => kept("write", { numbers: floats(numbers, dims) }),
    async [Symbol.asyncDispose]() {
      await gathering[Symbol.asyncDispose]();
      await kernels[Symbol.asyncDispose]();
    },
  };
}

const NAMES = { names: ["result"] };

function entriesGraph(name: string, element: CacheElement): GraphBuilder {
  const graph = createGraph(name);
  graph.input("entries", element, ["H", "C", "D"]);
  return graph;
}

function finished(graph: GraphBuilder, element: CacheElement): Graph {
  graph.output("result", element, ["A", "B", "E"]);
  return graph.build();
}

interface Growth {
  readonly buffers: LayerBuffers;
  readonly capacity: number;
}

function slotsOf({ buffers: { keys } }: Growth): number {
  return keys.dims[1] ?? 0;
}

/** Grows keys and values of several layers in one run: each run waits for the device once. */
function growGraph(layers: number, element: CacheElement): Graph {
  const graph = createGraph("grow_entries");
  graph.input("pads", "int64", [6]);
  for (let layer = 0; layer < layers; layer++) {
    for (const name of ["keys", "values"]) {
      graph.input(`${name}.${layer}`, element, ["H", `C${layer}`, "D"]);
      graph.op("Pad", [`${name}.${layer}`, "pads"], { names: [`grown_${name}.${layer}`] });
      graph.output(`grown_${name}.${layer}`, element, ["H", `B${layer}`, "D"]);
    }
  }
  return graph.build();
}

function joinGraph(element: CacheElement): Graph {
  const graph = createGraph("join_entries");
  for (const name of ["keys", "values"]) {
    graph.input(`first_${name}`, element, ["H", "A", "D"]);
    graph.input(`second_${name}`, element, ["H", "B", "D"]);
    graph.op("Concat", [`first_${name}`, `second_${name}`], {
      names: [`joined_${name}`],
      attributes: { axis: { int: 1 } },
    });
    graph.output(`joined_${name}`, element, ["H", "C", "D"]);
  }
  return graph.build();
}

function copyGraph(element: CacheElement): Graph {
  const graph = entriesGraph("copy_entries", element);
  graph.op("Identity", ["entries"], NAMES);
  return finished(graph, element);
}

function rerotateGraph(element: CacheElement): Graph {
  const graph = entriesGraph("turn_entries", element);
  graph.input("cos", "float32", ["H", "C", "K"]);
  graph.input("sin", "float32", ["H", "C", "K"]);
  const exact = element === "float32" ? "entries" : cast(graph, "entries", "float32");
  const [a = "", b = ""] = graph.ops("Split", [exact], 2, {
    attributes: { axis: { int: 2 }, num_outputs: { int: 2 } },
  });
  const times = (value: Value, table: Value) => graph.op("Mul", [value, table]);
  const rerotated = [
    graph.op("Sub", [times(a, "cos"), times(b, "sin")]),
    graph.op("Add", [times(b, "cos"), times(a, "sin")]),
  ];
  const joined = { attributes: { axis: { int: 2 } } };
  if (element === "float32") graph.op("Concat", rerotated, { ...joined, ...NAMES });
  else cast(graph, graph.op("Concat", rerotated, joined), element, NAMES.names);
  return finished(graph, element);
}

function readGraph(element: CacheElement): Graph {
  const graph = entriesGraph("read_entries", element);
  cast(graph, "entries", "float32", NAMES.names);
  return finished(graph, "float32");
}

function writeGraph(element: CacheElement): Graph {
  const graph = createGraph("write_entries");
  graph.input("numbers", "float32", ["A", "B", "E"]);
  cast(graph, "numbers", element, NAMES.names);
  return finished(graph, element);
}
