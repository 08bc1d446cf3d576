import type { AttentionShape } from "../attention_nodes.ts";
import { exactInput } from "../onnx/cast.ts";
import { createGraph, type Graph, type GraphBuilder, type Value } from "../onnx/graph.ts";
import { floats, integers } from "../session.ts";
import type { Device, DeviceTensor } from "./device.ts";
import type { CacheElement } from "./layer_buffers.ts";
import { groupedQueries, hiddenSlots, shaped, sizeOf, turnedOver } from "./masked_attention.ts";
import { loadedOnDemand } from "./on_demand.ts";

/** Slots of a KV head that follow one another. */
export interface SlotRun {
  readonly from: number;
  /** Behind the last one. */
  readonly to: number;
}

/** The newest tokens of a layer, and what they see. */
export interface RepeatedSlots {
  /** Their rotated queries, `[tokens, heads, headDim]`. */
  readonly queries: DeviceTensor;
  /** Tokens of each KV head before them. */
  readonly lengths: readonly number[];
  /** Slots of each KV head that they see, but for those of later ones among themselves. */
  readonly seen: readonly (readonly SlotRun[])[];
  /** Slots of each KV head that are asked about. */
  readonly asked: readonly (readonly SlotRun[])[];
  /** What the weights of each query are divided by: so many numbers from a place on. */
  readonly norms: { readonly tensor: DeviceTensor; readonly from: number } | undefined;
  /** What slots got before, `[heads, slots]`: fewer slots than the keys have, or as many. */
  readonly before: DeviceTensor;
}

/** The most that slots get from one of the newest tokens, where the cache lives. */
export interface RepeatedKernel extends AsyncDisposable {
  /** What they got before, or from these tokens where that is more. The caller owns it. */
  most(keys: DeviceTensor, slots: RepeatedSlots): Promise<DeviceTensor>;
}

/** Loads graphs when they are first asked for. */
export function createRepeatedKernel(
  device: Device,
  shape: AttentionShape,
  element: CacheElement,
): RepeatedKernel {
  const kernels = loadedOnDemand(device);
  const { kvHeads } = shape;
  const buildPlain = () => mostGraph(shape, element, false);
  const buildWeighed = () => mostGraph(shape, element, true);
  return {
    async most(keys, { queries, lengths, seen, asked, norms, before }) {
      const tokens = queries.dims[0] ?? 0;
      const slots = Math.max(tokens, keys.dims[1] ?? 0);
      const found = await kernels.run(norms ? buildWeighed : buildPlain, {
        ...{ keys, queries, before },
        held: floats(Float32Array.from(lengths), [kvHeads]),
        counting: await kernels.counting(slots),
        seen: runsOf(seen),
        asked: runsOf(asked),
        ...(norms ? { norms: norms.tensor, norms_from: integers([norms.from]) } : {}),
      }, ["most"]);
      return found.kept("most");
    },
    [Symbol.asyncDispose]: () => kernels[Symbol.asyncDispose](),
  };
}

/** `[kvHeads, runs, 2]`; heads with fewer runs than others have empty ones. */
function runsOf(byHead: readonly (readonly SlotRun[])[]) {
  const most = Math.max(1, ...byHead.map(({ length }) => length));
  const numbers = new Float32Array(byHead.length * most * 2);
  for (const [head, runs] of byHead.entries()) {
    for (const [run, { from, to }] of runs.entries()) {
      numbers.set([from, to], (head * most + run) * 2);
    }
  }
  return floats(numbers, [byHead.length, most, 2]);
}

function mostGraph(shape: AttentionShape, element: CacheElement, weighed: boolean): Graph {
  const { heads, kvHeads } = shape;
  const group = heads / kvHeads;
  const graph = createGraph("most_attention");
  const keys = exactInput(graph, "keys", element, ["H", "C", shape.headDim]);
  graph.input("queries", "float32", ["T", heads, shape.headDim]);
  graph.input("held", "float32", [kvHeads]);
  graph.input("counting", "float32", ["N"]);
  graph.input("seen", "float32", [kvHeads, "S", 2]);
  graph.input("asked", "float32", [kvHeads, "A", 2]);
  graph.input("before", "float32", [heads, "W"]);
  const tokens = sizeOf(graph, "queries", 0);
  const capacity = sizeOf(graph, keys, 1);
  const zero = graph.constant(new Float32Array(1), []);
  const slots = graph.op("Slice", [
    "counting",
    graph.integers([0]),
    capacity,
    graph.integers([0]),
  ]);
  const unseen = graph.op("Where", [
    within(graph, "seen", slots),
    zero,
    graph.constant(Float32Array.of(-Infinity), []),
  ]);
  const products = graph.op("MatMul", [
    groupedQueries(graph, shape, "queries"),
    turnedOver(graph, keys),
  ]);
  const logits = [
    hiddenSlots(graph, kvHeads, { held: "held", counting: "counting", keys, tokens }),
    shaped(graph, unseen, [kvHeads, 1, 1, capacity]),
  ].reduce(
    (sum, hidden) => graph.op("Add", [sum, hidden]),
    shaped(graph, products, [kvHeads, group, tokens, capacity]),
  );
  const weights = graph.op("Softmax", [logits], { attributes: { axis: { int: -1 } } });
  const most = graph.op("ReduceMax", [
    weighed ? graph.op("Div", [weights, normsOf(graph, tokens)]) : weights,
    graph.integers([2]),
  ], { attributes: { keepdims: { int: 0 } } });
  const asked = graph.op("Where", [
    shaped(graph, within(graph, "asked", slots), [kvHeads, 1, capacity]),
    most,
    zero,
  ]);
  const known = graph.op("Slice", [
    graph.op("Reshape", [asked, graph.integers([heads, -1])]),
    graph.integers([0]),
    sizeOf(graph, "before", 1),
    graph.integers([1]),
  ]);
  graph.op("Max", ["before", known], { names: ["most"] });
  graph.output("most", "float32", [heads, "W"]);
  return graph.build();
}

/** Norms of the tokens, `[1, 1, T, 1]`. */
function normsOf(graph: GraphBuilder, tokens: Value): Value {
  graph.input("norms", "float32", ["I"]);
  graph.input("norms_from", "int64", [1]);
  const behind = graph.op("Slice", [
    "norms",
    "norms_from",
    graph.integers([Number.MAX_SAFE_INTEGER]),
    graph.integers([0]),
  ]);
  const own = graph.op("Slice", [behind, graph.integers([0]), tokens, graph.integers([0])]);
  return graph.op("Reshape", [own, graph.integers([1, 1, -1, 1])]);
}

/** Whether slots lie in one of some runs of their KV head, `[kvHeads, capacity]`. */
function within(graph: GraphBuilder, runs: Value, slots: Value): Value {
  const number = (value: number) => graph.constant(Float32Array.of(value), []);
  const [from = "", to = ""] = graph.ops("Split", [runs, graph.integers([1, 1])], 2, {
    attributes: { axis: { int: 2 } },
  });
  const before = graph.op("Where", [graph.op("Less", [slots, to]), number(1), number(0)]);
  const inRun = graph.op("Where", [
    graph.op("GreaterOrEqual", [slots, from]),
    before,
    number(0),
  ]);
  const inAny = graph.op("ReduceMax", [inRun, graph.integers([1])], {
    attributes: { keepdims: { int: 0 } },
  });
  return graph.op("Greater", [inAny, number(0.5)]);
}
