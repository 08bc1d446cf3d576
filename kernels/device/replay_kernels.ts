import type { AttentionShape } from "../attention_nodes.ts";
import { dropEffect } from "../drop_effect.ts";
import { exactInput } from "../onnx/cast.ts";
import { createGraph, type Graph, type Value } from "../onnx/graph.ts";
import { outputLengths } from "../output_lengths.ts";
import { floats, integers } from "../session.ts";
import type { CacheElement } from "./layer_buffers.ts";
import type { Device, DeviceTensor } from "./device.ts";
import { joinedInGroups } from "./joined_in_groups.ts";
import {
  groupedQueries,
  hiddenSlots,
  sizeOf,
  slotWeights,
  turnedOver,
} from "./masked_attention.ts";
import { buildsOf, loadedOnDemand } from "./on_demand.ts";
import { createRepeatedKernel, type RepeatedKernel } from "./repeated_attention.ts";

/** The newest tokens of a layer, and how they judge. */
export interface JudgingSlots {
  /** Rotated queries, one behind the other, `[tokens, heads, headDim]`: theirs are the last. */
  readonly queries: readonly DeviceTensor[];
  /** Tokens of each KV head before them. */
  readonly lengths: readonly number[];
  /** Weight of each query. */
  readonly weights: Float32Array;
  readonly power: 1 | 2;
  /** Products of the layer's output matrix, where lengths are those behind it. */
  readonly products: DeviceTensor | undefined;
}

/** What repetitions of a text, and missing tokens, are judged by, where the cache lives. */
export interface ReplayKernels extends RepeatedKernel {
  /** What the newest tokens' outputs lose without each slot, `[heads, capacity]`. The caller owns it. */
  dropEffect(
    layer: { readonly keys: DeviceTensor; readonly values: DeviceTensor },
    judging: JudgingSlots,
  ): Promise<DeviceTensor>;
  /**
   * Lengths of what values become in a layer's output, `[heads, capacity]`. The caller owns them.
   *
   * @param products Those of the layer's output matrix, `[kvHeads, heads of a group, headDim, headDim]`.
   */
  outputLengths(values: DeviceTensor, products: DeviceTensor): Promise<DeviceTensor>;
}

/** Loads kernels when they are first asked for. */
export function createReplayKernels(
  device: Device,
  shape: AttentionShape,
  element: CacheElement,
): ReplayKernels {
  const kernels = loadedOnDemand(device);
  const { kvHeads } = shape;
  const repeated = createRepeatedKernel(device, shape, element);
  const lengthsBuild = () => lengthsGraph(shape, element);
  const effectBuilds = buildsOf((spec: Effect) => effectGraph(shape, element, spec));
  return {
    async dropEffect({ keys, values }, { queries, lengths, weights, power, products }) {
      const tokens = weights.length;
      const spec = { projected: products !== undefined, parts: queries.length, power };
      const given = queries.reduce((sum, { dims: [count = 0] }) => sum + count, 0);
      const parts = queries.map((tensor, part) => [`queries.${part}`, tensor] as const);
      const found = await kernels.run(effectBuilds(spec), {
        ...{ keys, values },
        ...Object.fromEntries(parts),
        from: integers([given - tokens]),
        held: floats(Float32Array.from(lengths), [kvHeads]),
        counting: await kernels.counting(Math.max(tokens, keys.dims[1] ?? 0)),
        weights: floats(weights, [1, tokens, 1]),
        ...(products ? { products } : {}),
      }, ["effect"]);
      return found.kept("effect");
    },
    most: repeated.most,
    async outputLengths(values, products) {
      return (await kernels.run(lengthsBuild, { values, products }, ["lengths"])).kept("lengths");
    },
    async [Symbol.asyncDispose]() {
      await repeated[Symbol.asyncDispose]();
      await kernels[Symbol.asyncDispose]();
    },
  };
}

/** How what is lost is measured. */
interface Effect {
  /** Whether lengths are those behind the output matrix. */
  readonly projected: boolean;
  /** Tensors that the queries come in. */
  readonly parts: number;
  /** Power of the lengths. */
  readonly power: 1 | 2;
}

/** Query head by query head of the groups. */
function effectGraph(
  shape: AttentionShape,
  element: CacheElement,
  { projected, parts, power }: Effect,
): Graph {
  const { heads, kvHeads, headDim } = shape;
  const group = heads / kvHeads;
  const graph = createGraph("drop_effect");
  const keys = exactInput(graph, "keys", element, [kvHeads, "C", headDim]);
  const values = exactInput(graph, "values", element, [kvHeads, "C", headDim]);
  graph.input("from", "int64", [1]);
  graph.input("held", "float32", [kvHeads]);
  graph.input("counting", "float32", ["N"]);
  graph.input("weights", "float32", [1, "T", 1]);
  const matrices = [kvHeads, group, headDim, headDim];
  const products = projected ? graph.input("products", "float32", matrices) : undefined;
  const all = joinedInGroups(
    graph,
    Array.from(
      { length: parts },
      (_, part) => graph.input(`queries.${part}`, "float32", [`Q${part}`, heads, headDim]),
    ),
  );
  const queries = graph.op("Slice", [
    all,
    "from",
    graph.integers([Number.MAX_SAFE_INTEGER]),
    graph.integers([0]),
  ]);
  const tokens = sizeOf(graph, "weights", 1);
  const logits = graph.op("MatMul", [
    groupedQueries(graph, shape, queries),
    turnedOver(graph, keys),
  ]);
  const shares = slotWeights(graph, shape, keys, logits, {
    hidden: hiddenSlots(graph, kvHeads, { held: "held", counting: "counting", keys, tokens }),
    tokens,
  });
  const row = (value: Value, at: number) =>
    graph.op("Gather", [value, graph.constant(BigInt64Array.of(BigInt(at)), [])], {
      attributes: { axis: { int: 1 } },
    });
  const ofGroup = Array.from({ length: group }, (_, head) => {
    const effect = dropEffect(graph, {
      ...{ shares: row(shares, head), values, power },
      products: products && row(products, head),
    });
    return graph.op("ReduceSum", [
      graph.op("Mul", [effect, "weights"]),
      graph.integers([1]),
    ], { attributes: { keepdims: { int: 1 } } });
  });
  const effects = graph.op("Concat", ofGroup, { attributes: { axis: { int: 1 } } });
  graph.op("Reshape", [effects, graph.integers([heads, -1])], { names: ["effect"] });
  graph.output("effect", "float32", [heads, "C"]);
  return graph.build();
}

/** Query head by query head of the groups: no tensor is larger than the values. */
function lengthsGraph(
  { heads, kvHeads, headDim }: AttentionShape,
  element: CacheElement,
): Graph {
  const group = heads / kvHeads;
  const graph = createGraph("output_lengths");
  const values = exactInput(graph, "values", element, [kvHeads, "C", headDim]);
  graph.input("products", "float32", [kvHeads, group, headDim, headDim]);
  const ofGroup: Value[] = [];
  for (let row = 0; row < group; row++) {
    const products = graph.op("Gather", [
      "products",
      graph.constant(BigInt64Array.of(BigInt(row)), []),
    ], { attributes: { axis: { int: 1 } } });
    ofGroup.push(
      graph.op("Unsqueeze", [outputLengths(graph, values, products), graph.integers([1])]),
    );
  }
  const all = graph.op("Concat", ofGroup, { attributes: { axis: { int: 1 } } });
  graph.op("Reshape", [all, graph.integers([heads, -1])], { names: ["lengths"] });
  graph.output("lengths", "float32", [heads, "C"]);
  return graph.build();
}
