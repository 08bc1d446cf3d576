import type { HeadShape } from "../attention_nodes.ts";
import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph } from "../onnx/graph.ts";
import { outputProducts } from "../output_lengths.ts";
import { floats } from "../session.ts";
import type { Device, DeviceTensor } from "./device.ts";
import type { CacheElement } from "./layer_buffers.ts";
import { loadedOnDemand } from "./on_demand.ts";

/**
 * What policies need of layers' output matrices, on a device: sent when it is first asked for, and there from
 * then on. Owns it.
 */
export interface HeldOutputs extends AsyncDisposable {
  /** A layer's matrix, `[kvHeads, heads of a group · hidden, headDim]`, of the cache's numbers. */
  matrix(layer: number): Promise<DeviceTensor>;
  /**
   * `WᵀW` of each query head, `[kvHeads, heads of a group, headDim, headDim]`: all that lengths behind the matrix
   * need, and a small part of it.
   */
  products(layer: number): Promise<DeviceTensor>;
}

/**
 * Holds nothing yet.
 *
 * @param read Gives a layer's matrix head by head, `[kvHeads, heads of a group · hidden, headDim]`.
 */
export function createHeldOutputs(
  device: Device,
  { heads, kvHeads, headDim }: HeadShape,
  element: CacheElement,
  read: (layer: number) => Float32Array,
): HeldOutputs {
  const kernels = loadedOnDemand(device);
  const group = heads / kvHeads;
  const matrixGraph = () => sentGraph(element);
  const held = new DisposableStack();
  /** Sends each layer's once; what failed is tried again. */
  const once = (send: (layer: number) => Promise<DeviceTensor>) => {
    const known = new Map<number, Promise<DeviceTensor>>();
    return async (layer: number): Promise<DeviceTensor> => {
      const sending = known.get(layer) ?? send(layer).then((tensor) => held.use(tensor));
      known.set(layer, sending);
      try {
        return await sending;
      } catch (error) {
        known.delete(layer);
        throw error;
      }
    };
  };
  const sent = async (build: () => Graph, layer: number, hidden: (of: number) => number[]) => {
    const matrix = read(layer);
    const shape = hidden(matrix.length / (heads * headDim));
    return (await kernels.run(build, { output: floats(matrix, shape) }, ["held"])).kept("held");
  };
  return {
    matrix: once((layer) =>
      sent(matrixGraph, layer, (hidden) => [kvHeads, group * hidden, headDim])
    ),
    products: once((layer) =>
      sent(productsGraph, layer, (hidden) => [kvHeads, group, hidden, headDim])
    ),
    async [Symbol.asyncDispose]() {
      held.dispose();
      await kernels[Symbol.asyncDispose]();
    },
  };
}

function sentGraph(element: CacheElement): Graph {
  const graph = createGraph("output_matrix");
  graph.input("output", "float32", ["H", "W", "D"]);
  if (element === "float32") graph.op("Identity", ["output"], { names: ["held"] });
  else cast(graph, "output", element, ["held"]);
  graph.output("held", element, ["H", "W", "D"]);
  return graph.build();
}

function productsGraph(): Graph {
  const graph = createGraph("output_products");
  graph.input("output", "float32", ["H", "G", "W", "D"]);
  const products = outputProducts(graph, "output", 4);
  graph.op("Identity", [products], { names: ["held"] });
  graph.output("held", "float32", ["H", "G", "D", "D"]);
  return graph.build();
}
