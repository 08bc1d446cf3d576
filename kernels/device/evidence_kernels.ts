import type { AttentionShape } from "../attention_nodes.ts";
import { exactInput } from "../onnx/cast.ts";
import { createGraph, type Graph, type Value } from "../onnx/graph.ts";
import { floats, integers } from "../session.ts";
import type { CacheElement } from "./layer_buffers.ts";
import type { Device, DeviceFeeds, DeviceTensor } from "./device.ts";
import { joinedInGroups } from "./joined_in_groups.ts";
import { groupedQueries, hiddenSlots, shaped, sizeOf, turnedOver } from "./masked_attention.ts";
import { buildsOf, loadedOnDemand } from "./on_demand.ts";

/** Queries that were made behind a cache, and where the keys lie that they brought. */
export interface DeviceFollowing {
  /** Rotated, one behind the other, `[queries, heads, headDim]`. */
  readonly queries: readonly DeviceTensor[];
  /** Keys of another cache, `[kvHeads, capacity, headDim]`. */
  readonly keys: DeviceTensor;
  /** KV head and slot of the queries' own keys among them, `[kvHeads, queries]` pairs. */
  readonly pairs: Int32Array;
}

/** What evidence is made of where the cache lives. */
export interface EvidenceKernels extends AsyncDisposable {
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
  const { kvHeads } = shape;
  const builds = buildsOf((parts: number) => followingGraph(shape, element, parts));
  return {
    async following(keys, lengths, { queries, keys: own, pairs }) {
      const tokens = pairs.length / (2 * kvHeads);
      const parts = queries.length;
      const asked: Record<string, DeviceFeeds[string]> = {};
      for (const [part, tensor] of queries.entries()) asked[`queries.${part}`] = tensor;
      const found = await kernels.run(builds(parts), {
        ...asked,
        keys,
        own,
        chosen: integers(pairs, [kvHeads, tokens, 2]),
        held: floats(Float32Array.from(lengths), [kvHeads]),
        counting: await kernels.counting(Math.max(tokens, keys.dims[1] ?? 0)),
      }, ["attention_sums"]);
      return found.kept("attention_sums");
    },
    [Symbol.asyncDispose]: () => kernels[Symbol.asyncDispose](),
  };
}

/** @param parts Tensors that the queries come in. */
function followingGraph(shape: AttentionShape, element: CacheElement, parts: number): Graph {
  const { heads, kvHeads, headDim } = shape;
  const group = heads / kvHeads;
  const graph = createGraph("following_attention");
  const keys = exactInput(graph, "keys", element, ["H", "C", "D"]);
  const others = exactInput(graph, "own", element, ["H", "F", "D"]);
  graph.input("chosen", "int64", [kvHeads, "Q", 2]);
  const queries = joinedInGroups(
    graph,
    Array.from(
      { length: parts },
      (_, part) => graph.input(`queries.${part}`, "float32", [`Q${part}`, heads, headDim]),
    ),
  );
  graph.input("held", "float32", [kvHeads]);
  graph.input("counting", "float32", ["N"]);
  const own = graph.op("GatherND", [others, "chosen"]);
  const tokens = sizeOf(graph, "chosen", 1);
  const capacity = sizeOf(graph, keys, 1);
  const grouped = groupedQueries(graph, shape, queries);
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
