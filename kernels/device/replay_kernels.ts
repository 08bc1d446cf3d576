import type { AttentionShape } from "../attention_nodes.ts";
import { exactInput } from "../onnx/cast.ts";
import { createGraph, type Graph, type Value } from "../onnx/graph.ts";
import { outputLengths } from "../output_lengths.ts";
import { floats } from "../session.ts";
import type { CacheElement } from "./layer_buffers.ts";
import type { Device, DeviceTensor } from "./device.ts";
import { groupedQueries, hiddenSlots, shaped, sizeOf, turnedOver } from "./masked_attention.ts";
import { loadedOnDemand } from "./on_demand.ts";

/** The newest tokens of a layer, and what they see. */
export interface SeenSlots {
  /** Their rotated queries, `[tokens, heads, headDim]`. */
  readonly queries: DeviceTensor;
  /** Tokens of each KV head before them. */
  readonly lengths: readonly number[];
  /** Added to logits: `-Infinity` at slots that none of them sees, `[kvHeads, capacity]`. */
  readonly unseen: Float32Array;
  /** What the weights of each query are multiplied with, `[tokens]`. */
  readonly factors: Float32Array;
}

/** What repetitions of a text are judged by, where the cache lives. */
export interface ReplayKernels extends AsyncDisposable {
  /** The most that each slot gets from one of the newest tokens, `[heads, capacity]`. */
  most(keys: DeviceTensor, seen: SeenSlots): Promise<Float32Array>;
  /**
   * Lengths of what values become in a layer's output, `[heads, capacity]`. The caller owns them.
   *
   * @param output The layer's output matrix, `[kvHeads, heads of a group · hidden, headDim]`.
   */
  outputLengths(values: DeviceTensor, output: Float32Array): Promise<DeviceTensor>;
}

/** Loads kernels when they are first asked for. */
export function createReplayKernels(
  device: Device,
  shape: AttentionShape,
  element: CacheElement,
): ReplayKernels {
  const kernels = loadedOnDemand(device);
  const { heads, kvHeads, headDim } = shape;
  const group = heads / kvHeads;
  const buildMost = () => mostGraph(shape, element);
  const lengths = new Map<number, () => Graph>();
  return {
    async most(keys, { queries, lengths, unseen, factors }) {
      const tokens = factors.length;
      const slots = unseen.length / kvHeads;
      const found = await kernels.run(buildMost, {
        ...{ keys, queries },
        held: floats(Float32Array.from(lengths), [kvHeads]),
        counting: await kernels.counting(Math.max(tokens, slots)),
        unseen: floats(unseen, [kvHeads, 1, 1, slots]),
        factors: floats(factors, [1, 1, tokens, 1]),
      });
      return found.floats("most");
    },
    async outputLengths(values, output) {
      const hidden = output.length / (heads * headDim);
      const build = lengths.get(hidden) ?? (() => lengthsGraph(shape, hidden, element));
      lengths.set(hidden, build);
      const feeds = { values, output: floats(output, [kvHeads, group, hidden, headDim]) };
      return (await kernels.run(build, feeds, ["lengths"])).kept("lengths");
    },
    [Symbol.asyncDispose]: () => kernels[Symbol.asyncDispose](),
  };
}

function mostGraph(shape: AttentionShape, element: CacheElement): Graph {
  const { heads, kvHeads, headDim } = shape;
  const graph = createGraph("most_attention");
  const keys = exactInput(graph, "keys", element, ["H", "C", headDim]);
  graph.input("queries", "float32", ["T", heads, headDim]);
  graph.input("held", "float32", [kvHeads]);
  graph.input("counting", "float32", ["N"]);
  graph.input("unseen", "float32", [kvHeads, 1, 1, "C"]);
  graph.input("factors", "float32", [1, 1, "T", 1]);
  const tokens = sizeOf(graph, "queries", 0);
  const capacity = sizeOf(graph, keys, 1);
  const products = graph.op("MatMul", [
    groupedQueries(graph, shape, "queries"),
    turnedOver(graph, keys),
  ]);
  const logits = [
    hiddenSlots(graph, kvHeads, { held: "held", counting: "counting", keys, tokens }),
    "unseen",
  ].reduce(
    (sum, hidden) => graph.op("Add", [sum, hidden]),
    shaped(graph, products, [kvHeads, heads / kvHeads, tokens, capacity]),
  );
  const weights = graph.op("Softmax", [logits], { attributes: { axis: { int: -1 } } });
  const most = graph.op("ReduceMax", [
    graph.op("Mul", [weights, "factors"]),
    graph.integers([2]),
  ], { attributes: { keepdims: { int: 0 } } });
  graph.op("Reshape", [most, graph.integers([heads, -1])], { names: ["most"] });
  graph.output("most", "float32", [heads, "C"]);
  return graph.build();
}

/** Query head by query head of the groups: no tensor is larger than the values. */
function lengthsGraph(
  { heads, kvHeads, headDim }: AttentionShape,
  hidden: number,
  element: CacheElement,
): Graph {
  const group = heads / kvHeads;
  const graph = createGraph("output_lengths");
  const values = exactInput(graph, "values", element, [kvHeads, "C", headDim]);
  graph.input("output", "float32", [kvHeads, group, hidden, headDim]);
  const ofGroup: Value[] = [];
  for (let row = 0; row < group; row++) {
    const output = graph.op("Gather", [
      "output",
      graph.constant(BigInt64Array.of(BigInt(row)), []),
    ], { attributes: { axis: { int: 1 } } });
    ofGroup.push(
      graph.op("Unsqueeze", [outputLengths(graph, values, output), graph.integers([1])]),
    );
  }
  const all = graph.op("Concat", ofGroup, { attributes: { axis: { int: 1 } } });
  graph.op("Reshape", [all, graph.integers([heads, -1])], { names: ["lengths"] });
  graph.output("lengths", "float32", [heads, "C"]);
  return graph.build();
}
