import type { AttentionShape } from "../attention_nodes.ts";
import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph } from "../onnx/graph.ts";
import { floats } from "../session.ts";
import type { CacheElement } from "./layer_buffers.ts";
import type { Device, DeviceTensor } from "./device.ts";
import { inHalf } from "./half.ts";
import {
  groupedQueries,
  hiddenSlots,
  sizeOf,
  slotWeights,
  turnedOver,
} from "./masked_attention.ts";
import { loadedOnDemand } from "./on_demand.ts";

/** A layer whose newest tokens are to be observed. */
export interface ObservedLayer {
  /** Rotated queries of the new tokens, `[1, T, heads · headDim]` of the cache's type. */
  readonly queries: DeviceTensor;
  /** `[kvHeads, capacity, headDim]`, the new tokens' keys among them. */
  readonly keys: DeviceTensor;
  /** Tokens of each KV head before the new ones: as many in all. */
  readonly lengths: readonly number[];
}

/** Attention that new tokens pay, computed behind a step that does not give it. */
export interface ObserveKernel extends AsyncDisposable {
  /** Attention that each slot received, `[heads, capacity]` for each layer. The caller owns them. */
  sums(layers: readonly ObservedLayer[]): Promise<readonly DeviceTensor[]>;
  /** Queries as 32-bit floats, `[T, heads, headDim]`. The caller owns them. */
  queries(queries: DeviceTensor): Promise<DeviceTensor>;
}

/** Loads graphs when they are first asked for. */
export function createObserveKernel(
  device: Device,
  shape: AttentionShape,
  layers: number,
  element: CacheElement,
): ObserveKernel {
  const kernels = loadedOnDemand(device);
  const buildObserve = () => observeGraph(shape, layers, element);
  const buildQueries = () => queriesGraph(shape, element);
  return {
    async sums(observed) {
      const [{ queries } = { queries: undefined }] = observed;
      const tokens = queries?.dims[1] ?? 0;
      // All heads of a layer hold equally many tokens: one mask does for them.
      const held = Float32Array.from(observed, ({ lengths: [length = 0] }) => length);
      const slots = Math.max(tokens, ...observed.map(({ keys }) => keys.dims[1] ?? 0));
      const names = observed.map((_, layer) => `attention_sums.${layer}`);
      const found = await kernels.run(buildObserve, {
        held: floats(held, [layers, 1]),
        counting: await kernels.counting(slots),
        ...Object.fromEntries(observed.flatMap(({ queries, keys }, layer) => [
          [`queries.${layer}`, queries] as const,
          [`keys.${layer}`, keys] as const,
        ])),
      }, names);
      return names.map((name) => found.kept(name));
    },
    queries: async (queries) =>
      (await kernels.run(buildQueries, { queries }, ["result"])).kept("result"),
    [Symbol.asyncDispose]: () => kernels[Symbol.asyncDispose](),
  };
}

function observeGraph(shape: AttentionShape, layers: number, element: CacheElement): Graph {
  const { heads, kvHeads, headDim } = shape;
  const plain = createGraph("observe");
  const builder = element === "float16" ? inHalf(plain) : plain;
  plain.input("held", "float32", [layers, 1]);
  plain.input("counting", "float32", ["N"]);
  const inElement = (name: string, to: CacheElement) =>
    element === "float32" ? name : cast(plain, name, to);
  for (let layer = 0; layer < layers; layer++) {
    const [queries, keys] = [`queries.${layer}`, `keys.${layer}`];
    plain.input(queries, element, [1, "T", heads * headDim]);
    plain.input(keys, element, [kvHeads, `C${layer}`, headDim]);
    const held = plain.op("Gather", ["held", plain.constant(BigInt64Array.of(BigInt(layer)), [])]);
    const tokens = sizeOf(plain, queries, 1);
    const hidden = hiddenSlots(plain, 1, { held, counting: "counting", keys, tokens });
    // Windows and soft tokens are many: no branch for one token, which would cost more than it saves.
    const products = builder.op("MatMul", [
      groupedQueries(builder, shape, queries),
      turnedOver(builder, keys),
    ]);
    const weights = slotWeights(builder, shape, keys, products, {
      hidden: inElement(hidden, "float16"),
      tokens,
    });
    const sums = plain.op("ReduceSum", [inElement(weights, "float32"), plain.integers([2])], {
      attributes: { keepdims: { int: 0 } },
    });
    const name = `attention_sums.${layer}`;
    plain.op("Reshape", [sums, plain.integers([heads, -1])], { names: [name] });
    plain.output(name, "float32", [heads, `C${layer}`]);
  }
  return plain.build();
}

function queriesGraph({ heads, headDim }: AttentionShape, element: CacheElement): Graph {
  const graph = createGraph("queries");
  graph.input("queries", element, [1, "T", heads * headDim]);
  const exact = cast(graph, "queries", "float32");
  graph.op("Reshape", [exact, graph.integers([-1, heads, headDim])], { names: ["result"] });
  graph.output("result", "float32", ["T", heads, headDim]);
  return graph.build();
}
