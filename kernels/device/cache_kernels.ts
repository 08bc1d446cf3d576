import {
  createGraph,
  ELEMENT_TYPE,
  type ElementType,
  type Graph,
  type GraphBuilder,
  type Value,
} from "../onnx/graph.ts";
import { floats, integers } from "../session.ts";
import type { Device, DeviceTensor } from "./device.ts";
import { loadedOnDemand } from "./on_demand.ts";

/** Type of the numbers in a device's cache. */
export type CacheElement = Extract<ElementType, "float32" | "float16">;

/** The tensors of one layer, `[kvHeads, capacity, headDim]` each. */
export interface LayerBuffers {
  /** Keys, rotated at their positions. */
  readonly keys: DeviceTensor;
  /** Values. */
  readonly values: DeviceTensor;
}

/** What is done to the buffers of a cache, `[kvHeads, capacity, headDim]`, without their leaving. */
export interface CacheKernels extends AsyncDisposable {
  /** Entries of a layer by KV head and slot, `[kvHeads, N]` pairs, in buffers of their own. */
  gather(buffers: LayerBuffers, pairs: Int32Array): Promise<LayerBuffers>;
  /** A copy of a layer with more slots. */
  grown(buffers: LayerBuffers, capacity: number): Promise<LayerBuffers>;
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
  const builds = {
    gather: () => gatherGraph(element),
    grow: () => growGraph(element),
    copy: () => copyGraph(element),
    rerotate: () => rerotateGraph(element),
    read: () => readGraph(element),
    write: () => writeGraph(element),
  };
  const kept = async (name: keyof typeof builds, feeds: Parameters<typeof kernels.run>[1]) =>
    (await kernels.run(builds[name], feeds, ["result"])).kept("result");
  const both = async (
    name: keyof typeof builds,
    feeds: Parameters<typeof kernels.run>[1],
  ): Promise<LayerBuffers> => {
    const found = await kernels.run(builds[name], feeds, ["result_keys", "result_values"]);
    return { keys: found.kept("result_keys"), values: found.kept("result_values") };
  };
  return {
    gather(buffers, pairs) {
      const [kvHeads = 1] = buffers.keys.dims;
      const chosen = integers(pairs, [kvHeads, pairs.length / 2 / kvHeads, 2]);
      return both("gather", { ...buffers, chosen });
    },
    grown(buffers, capacity) {
      const [, now = 0] = buffers.keys.dims;
      return both("grow", { ...buffers, pads: integers([0, 0, 0, 0, capacity - now, 0]) });
    },
    copied: (entries) => kept("copy", { entries }),
    rerotated(entries, cos, sin) {
      const [kvHeads = 1, capacity = 0, headDim = 0] = entries.dims;
      const shape = [kvHeads, capacity, headDim / 2];
      return kept("rerotate", { entries, cos: floats(cos, shape), sin: floats(sin, shape) });
    },
    read: async (entries) => (await kernels.run(builds.read, { entries })).floats("result"),
    written: (numbers, dims) => kept("write", { numbers: floats(numbers, dims) }),
    [Symbol.asyncDispose]: () => kernels[Symbol.asyncDispose](),
  };
}

const NAMES = { names: ["result"] };

function cast(graph: GraphBuilder, value: Value, to: CacheElement, names: readonly Value[] = []) {
  return graph.op("Cast", [value], { attributes: { to: { int: ELEMENT_TYPE[to] } }, names });
}

function entriesGraph(name: string, element: CacheElement): GraphBuilder {
  const graph = createGraph(name);
  graph.input("entries", element, ["H", "C", "D"]);
  return graph;
}

function finished(graph: GraphBuilder, element: CacheElement): Graph {
  graph.output("result", element, ["A", "B", "E"]);
  return graph.build();
}

function gatherGraph(element: CacheElement): Graph {
  const graph = createGraph("gather_entries");
  graph.input("chosen", "int64", ["H", "N", 2]);
  return onBoth(graph, element, "GatherND", "chosen");
}

function growGraph(element: CacheElement): Graph {
  const graph = createGraph("grow_entries");
  graph.input("pads", "int64", [6]);
  return onBoth(graph, element, "Pad", "pads");
}

/** Keys and values in one run: each run waits for the device once. */
function onBoth(graph: GraphBuilder, element: CacheElement, operator: string, by: Value): Graph {
  for (const name of ["keys", "values"]) {
    graph.input(name, element, ["H", "C", "D"]);
    graph.op(operator, [name, by], { names: [`result_${name}`] });
    graph.output(`result_${name}`, element, ["A", "B", "E"]);
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
