import type { AttentionShape } from "../attention_nodes.ts";
import type { QueryGaussian } from "../expected_logits.ts";
import { exactInput } from "../onnx/cast.ts";
import { createGraph, type Graph, type Value } from "../onnx/graph.ts";
import { buildQueryStatistics, type ChunkStatistics } from "../query_statistics.ts";
import type { RotaryRows } from "../rope.ts";
import { floats, integers } from "../session.ts";
import type { CacheElement } from "./layer_buffers.ts";
import type { Device, DeviceTensor } from "./device.ts";
import { groupedQueries, hiddenSlots, shaped, sizeOf, turnedOver } from "./masked_attention.ts";
import { loadedOnDemand } from "./on_demand.ts";

/** Queries that were made behind a cache, and where the keys lie that they brought. */
export interface DeviceFollowing {
  /** Rotated, `[queries, heads · headDim]`. */
  readonly queries: Float32Array;
  /** Keys of another cache, `[kvHeads, capacity, headDim]`. */
  readonly keys: DeviceTensor;
  /** KV head and slot of the queries' own keys among them, `[kvHeads, queries]` pairs. */
  readonly pairs: Int32Array;
}

/** What evidence is made of where the cache lives. */
export interface EvidenceKernels extends AsyncDisposable {
  /**
   * Statistics of un-rotated queries.
   *
   * @param queries Rotated, `[tokens, heads, headDim]`.
   * @param rotary Tables of all but the first `skip` of them.
   */
  statistics(queries: DeviceTensor, rotary: RotaryRows, skip: number): Promise<ChunkStatistics>;
  /** Moments of the logits of each slot, `[heads, capacity]` each. The caller owns them. */
  expectedLogits(
    keys: DeviceTensor,
    queries: QueryGaussian,
  ): Promise<{ readonly mean: DeviceTensor; readonly variance: DeviceTensor }>;
  /**
   * Attention that each slot receives from queries behind it, summed over them, `[heads, capacity]`.
   *
   * @param lengths Tokens of each KV head.
   */
  following(
    keys: DeviceTensor,
    lengths: readonly number[],
    following: DeviceFollowing,
  ): Promise<DeviceTensor>;
}

/** Loads kernels when they are first asked for. */
export function createEvidenceKernels(
  device: Device,
  shape: AttentionShape,
  element: CacheElement,
): EvidenceKernels {
  const kernels = loadedOnDemand(device);
  const { heads, kvHeads, headDim } = shape;
  const group = heads / kvHeads;
  const buildStatistics = () => buildQueryStatistics(heads, headDim, true);
  const buildExpected = () => expectedGraph(shape, element);
  const buildFollowing = () => followingGraph(shape, element);
  return {
    async statistics(queries, { cos, sin }, skip) {
      const half = headDim / 2;
      const tokens = cos.length / half;
      const found = await kernels.run(buildStatistics, {
        queries,
        cos: floats(cos, [tokens, 1, half]),
        sin: floats(sin, [tokens, 1, half]),
        first: integers([skip]),
      });
      return { mean: found.floats("mean"), products: found.floats("products") };
    },
    async expectedLogits(keys, { mean, covariance }) {
      const found = await kernels.run(buildExpected, {
        keys,
        query_mean: floats(mean, [kvHeads, group, headDim]),
        query_covariance: floats(covariance, [kvHeads, group, headDim, headDim]),
      }, ["mean", "variance"]);
      return { mean: found.kept("mean"), variance: found.kept("variance") };
    },
    async following(keys, lengths, { queries, keys: own, pairs }) {
      const tokens = queries.length / (heads * headDim);
      const found = await kernels.run(buildFollowing, {
        keys,
        own,
        chosen: integers(pairs, [kvHeads, tokens, 2]),
        queries: floats(queries, [1, tokens, heads * headDim]),
        held: floats(Float32Array.from(lengths), [kvHeads]),
        counting: await kernels.counting(Math.max(tokens, keys.dims[1] ?? 0)),
      }, ["attention_sums"]);
      return found.kept("attention_sums");
    },
    [Symbol.asyncDispose]: () => kernels[Symbol.asyncDispose](),
  };
}

function expectedGraph(
  { heads, kvHeads, headDim, attentionScale }: AttentionShape,
  element: CacheElement,
): Graph {
  const graph = createGraph("expected_logits");
  const group = heads / kvHeads;
  const keys = exactInput(graph, "keys", element, ["H", "C", "D"]);
  graph.input("query_mean", "float32", [kvHeads, group, headDim]);
  graph.input("query_covariance", "float32", [kvHeads, group, headDim, headDim]);
  const scaled = (value: Value, factor: number) =>
    graph.op("Mul", [value, graph.constant(Float32Array.of(factor), [])]);
  const mean = graph.op("MatMul", [
    scaled("query_mean", attentionScale),
    turnedOver(graph, keys),
  ]);
  const perGroup = graph.op("Unsqueeze", [keys, graph.integers([1])]);
  const turned = graph.op("MatMul", [perGroup, scaled("query_covariance", attentionScale ** 2)]);
  const variance = graph.op("ReduceSum", [
    graph.op("Mul", [turned, perGroup]),
    graph.integers([3]),
  ], { attributes: { keepdims: { int: 0 } } });
  for (const [name, value] of [["mean", mean], ["variance", variance]] as const) {
    graph.op("Reshape", [value, graph.integers([heads, -1])], { names: [name] });
    graph.output(name, "float32", [heads, "C"]);
  }
  return graph.build();
}

function followingGraph(shape: AttentionShape, element: CacheElement): Graph {
  const { heads, kvHeads, headDim } = shape;
  const group = heads / kvHeads;
  const graph = createGraph("following_attention");
  const keys = exactInput(graph, "keys", element, ["H", "C", "D"]);
  const others = exactInput(graph, "own", element, ["H", "F", "D"]);
  graph.input("chosen", "int64", [kvHeads, "Q", 2]);
  graph.input("queries", "float32", [1, "Q", heads * headDim]);
  graph.input("held", "float32", [kvHeads]);
  graph.input("counting", "float32", ["N"]);
  const own = graph.op("GatherND", [others, "chosen"]);
  const tokens = sizeOf(graph, "queries", 1);
  const capacity = sizeOf(graph, keys, 1);
  const grouped = groupedQueries(graph, shape, "queries");
  const logits = (of: Value, size: Value): Value =>
    shaped(graph, graph.op("MatMul", [grouped, turnedOver(graph, of)]), [
      kvHeads,
      group,
      tokens,
      size,
    ]);
  const zeros = graph.constant(new Float32Array(kvHeads), [kvHeads]);
  const one = graph.constant(Float32Array.of(1), []);
  // The first query sees the slots before its own: one fewer than a token in the next slot would.
  const before = hiddenSlots(graph, kvHeads, {
    held: graph.op("Sub", ["held", one]),
    counting: "counting",
    keys,
    tokens: graph.integers([1]),
  });
  const causal = hiddenSlots(graph, kvHeads, {
    held: zeros,
    counting: "counting",
    keys: own,
    tokens,
  });
  const all = graph.op("Concat", [
    graph.op("Add", [logits(keys, capacity), before]),
    graph.op("Add", [logits(own, tokens), causal]),
  ], { attributes: { axis: { int: 3 } } });
  const weights = graph.op("Softmax", [all], { attributes: { axis: { int: -1 } } });
  const sums = graph.op("ReduceSum", [weights, graph.integers([2])], {
    attributes: { keepdims: { int: 0 } },
  });
  const past = graph.op("Slice", [
    graph.op("Reshape", [sums, graph.integers([heads, -1])]),
    graph.integers([0]),
    capacity,
    graph.integers([1]),
  ], { names: ["attention_sums"] });
  graph.output(past, "float32", [heads, "C"]);
  return graph.build();
}
