import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph, type GraphBuilder, type Value } from "../onnx/graph.ts";
import { floats, integers, type Tensor } from "../session.ts";
import type { Dense, Network } from "../surrogate.ts";
import type { Device, DeviceFeeds, DeviceTensor } from "./device.ts";
import { buildsOf, loadedOnDemand } from "./on_demand.ts";
import { createSentOnce, type LentTensors } from "./sent_once.ts";

/** Networks of all global layers that lie on a device at least until they are given back. */
export interface LentNetworks extends Disposable {
  readonly tensors: LentTensors["tensors"];
  /** Whether each has a layer in between. */
  readonly deep: readonly boolean[];
}

/** What rows of scores are made of. */
export interface PredictedParts {
  /** Of what was read just now, `[global layers, kvHeads, tokens]`; absent where nothing was. */
  readonly scores: DeviceTensor | undefined;
  /** The global layer that they are wanted of. */
  readonly layer: number;
  /** Tokens of each KV head. */
  readonly lengths: readonly number[];
  /** How many of these were there before. */
  readonly before: readonly number[];
  /** Scores of the first of these, `[heads, slots]`, and how many of each KV head have one. */
  readonly earlier: { readonly rows: DeviceTensor; readonly known: readonly number[] } | undefined;
}

/** Runs small networks on what layers' attention reads, where it is read. */
export interface SurrogateKernels extends AsyncDisposable {
  /** Brings networks, which are sent once: those that were used last stay. */
  lend(networks: readonly Network[]): Promise<LentNetworks>;
  /**
   * Scores of what was read, `[global layers, kvHeads, tokens]`, behind those of what was read before.
   *
   * @param inputs What the layers' attention read, `[global layers · tokens, hidden]`.
   */
  scores(
    networks: LentNetworks,
    inputs: DeviceTensor,
    before: DeviceTensor | undefined,
  ): Promise<DeviceTensor>;
  /** Scores of all that a layer holds, for each query head. Those that are not known are infinite. */
  rows(parts: PredictedParts): Promise<DeviceTensor>;
}

/** Loads kernels when they are first asked for. */
export function createSurrogateKernels(
  device: Device,
  { heads, kvHeads }: { readonly heads: number; readonly kvHeads: number },
): SurrogateKernels {
  const kernels = loadedOnDemand(device);
  const sentOnce = createSentOnce(device);
  const networkBuilds = buildsOf(networksGraph);
  const rowBuilds = buildsOf((of: RowsOf) => rowsGraph({ heads, kvHeads }, of));
  const column = (numbers: readonly number[]) =>
    floats(Float32Array.from(numbers), [numbers.length, 1]);
  return {
    async lend(networks) {
      const { tensors, ...lent } = await sentOnce.lend(arraysOf(networks));
      const deep = networks.map(({ inner }) => inner !== undefined);
      return { tensors, deep, [Symbol.dispose]: lent[Symbol.dispose] };
    },
    async scores({ tensors, deep }, inputs, before) {
      const feeds: Record<string, DeviceFeeds[string]> = { ...tensors, inputs };
      if (before) feeds.before = before;
      const build = networkBuilds({ deep, further: before !== undefined });
      return (await kernels.run(build, feeds, ["scores"])).kept("scores");
    },
    async rows({ scores, layer, lengths, before, earlier }) {
      const slots = Math.max(1, ...lengths);
      const feeds: Record<string, DeviceFeeds[string]> = {
        counting: await kernels.counting(slots),
        slots: integers([slots]),
        before: column(before),
      };
      if (scores) {
        const [, , tokens = 1] = scores.dims;
        Object.assign(feeds, { scores, layer: integers([layer]), end: integers([layer + 1]) });
        feeds.last = floats(Float32Array.of(tokens - 1), [1]);
      }
      if (earlier) Object.assign(feeds, { earlier: earlier.rows, known: column(earlier.known) });
      const build = rowBuilds({ read: scores !== undefined, known: earlier !== undefined });
      return (await kernels.run(build, feeds, ["rows"])).kept("rows");
    },
    async [Symbol.asyncDispose]() {
      await sentOnce[Symbol.asyncDispose]();
      await kernels[Symbol.asyncDispose]();
    },
  };
}

function arraysOf(networks: readonly Network[]): Readonly<Record<string, Tensor>> {
  const arrays: Record<string, Tensor> = {};
  const put = (name: string, { weight, bias }: Dense) => {
    arrays[`${name}_weight`] = floats(weight, [bias.length, weight.length / bias.length]);
    arrays[`${name}_bias`] = floats(bias, [bias.length]);
  };
  for (const [layer, { inner, output }] of networks.entries()) {
    if (inner) put(`inner.${layer}`, inner);
    put(`output.${layer}`, output);
  }
  return arrays;
}

function networksGraph(
  { deep, further }: { readonly deep: readonly boolean[]; readonly further: boolean },
): Graph {
  const graph = createGraph("surrogates");
  graph.input("inputs", "float32", ["R", "D"]);
  const width = graph.op("Shape", ["inputs"], {
    attributes: { start: { int: 1 }, end: { int: 2 } },
  });
  const byLayer = graph.op("Reshape", [
    "inputs",
    graph.op("Concat", [graph.integers([deep.length, -1]), width], {
      attributes: { axis: { int: 0 } },
    }),
  ]);
  const turned = (value: Value) =>
    graph.op("Transpose", [value], { attributes: { perm: { ints: [1, 0] } } });
  const dense = (name: string, rows: Value): Value => {
    graph.input(`${name}_weight`, "float32", [`${name}_out`, `${name}_in`]);
    graph.input(`${name}_bias`, "float32", [`${name}_out`]);
    const product = graph.op("MatMul", [rows, turned(`${name}_weight`)]);
    return graph.op("Add", [product, `${name}_bias`]);
  };
  const scores = deep.map((between, layer) => {
    const at = graph.constant(BigInt64Array.of(BigInt(layer)), []);
    let rows = graph.op("Gather", [byLayer, at]);
    if (between) rows = gelu(graph, dense(`inner.${layer}`, rows));
    const columns = turned(dense(`output.${layer}`, rows));
    return graph.op("Unsqueeze", [columns, graph.integers([0])]);
  });
  const all = graph.op("Concat", scores, { attributes: { axis: { int: 0 } } });
  if (further) {
    graph.input("before", "float32", [deep.length, "O", "B"]);
    graph.op("Concat", ["before", all], { attributes: { axis: { int: 2 } }, names: ["scores"] });
  } else graph.op("Identity", [all], { names: ["scores"] });
  graph.output("scores", "float32", [deep.length, "O", "T"]);
  return graph.build();
}

/** GELU, in operators that run on a GPU. */
function gelu(graph: GraphBuilder, value: Value): Value {
  const number = (of: number) => graph.constant(Float32Array.of(of), []);
  const share = graph.op("Add", [
    graph.op("Erf", [graph.op("Mul", [value, number(Math.SQRT1_2)])]),
    number(1),
  ]);
  return graph.op("Mul", [graph.op("Mul", [value, number(0.5)]), share]);
}

/** Where scores of rows come from. */
interface RowsOf {
  /** Whether some were predicted just now. */
  readonly read: boolean;
  /** Whether some were known before. */
  readonly known: boolean;
}

function rowsGraph(
  { heads, kvHeads }: { readonly heads: number; readonly kvHeads: number },
  { read, known }: RowsOf,
): Graph {
  const graph = createGraph("predicted_rows");
  const group = heads / kvHeads;
  const number = (of: number) => graph.constant(Float32Array.of(of), []);
  const [zero, unknown] = [number(0), number(Infinity)];
  graph.input("counting", "float32", ["K"]);
  graph.input("slots", "int64", [1]);
  graph.input("before", "float32", [kvHeads, 1]);
  const columns = graph.op("Slice", [
    "counting",
    graph.integers([0]),
    "slots",
    graph.integers([0]),
  ]);
  /** Numbers of KV heads by their columns, up to the last that there is. */
  const taken = (from: Value, at: Value, last: Value): Value => {
    const within = graph.op("Max", [graph.op("Min", [at, last]), zero]);
    return graph.op("GatherElements", [from, cast(graph, within, "int32")], {
      attributes: { axis: { int: 1 } },
    });
  };
  const behind = graph.op("Sub", [columns, "before"]);
  let scores = unknown;
  if (known) {
    graph.input("earlier", "float32", [heads, "E"]);
    graph.input("known", "float32", [kvHeads, 1]);
    // Query heads of a KV head have the same scores.
    const first = graph.op("Gather", [
      graph.op("Reshape", ["earlier", graph.integers([kvHeads, group, -1])]),
      graph.constant(BigInt64Array.of(0n), []),
    ], { attributes: { axis: { int: 1 } } });
    const held = taken(first, columns, graph.op("Sub", ["known", number(1)]));
    scores = graph.op("Where", [graph.op("Less", [columns, "known"]), held, unknown]);
  }
  if (read) {
    graph.input("scores", "float32", ["L", kvHeads, "N"]);
    graph.input("layer", "int64", [1]);
    graph.input("end", "int64", [1]);
    graph.input("last", "float32", [1]);
    const cut = graph.op("Slice", ["scores", "layer", "end", graph.integers([0])]);
    const ofLayer = graph.op("Squeeze", [cut, graph.integers([0])]);
    scores = graph.op("Where", [
      graph.op("GreaterOrEqual", [behind, zero]),
      taken(ofLayer, behind, "last"),
      scores,
    ]);
  } else if (!known) {
    scores = graph.op("Where", [graph.op("Less", [behind, number(2 ** 30)]), unknown, zero]);
  }
  const ofHeads = graph.op("Expand", [
    graph.op("Unsqueeze", [scores, graph.integers([1])]),
    graph.integers([1, group, 1]),
  ]);
  graph.op("Reshape", [ofHeads, graph.integers([heads, -1])], { names: ["rows"] });
  graph.output("rows", "float32", [heads, "C"]);
  return graph.build();
}
