import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph, type GraphBuilder, type Value } from "../onnx/graph.ts";
import { floats, integers } from "../session.ts";
import type { Device, DeviceTensor } from "./device.ts";
import { firstLargest } from "./first_largest.ts";
import type { CacheElement, LayerBuffers } from "./layer_buffers.ts";
import { sizeOf } from "./masked_attention.ts";
import { loadedOnDemand } from "./on_demand.ts";

/** What of a layer stays, and how the values of what does not go into those of what does. */
export interface MergedLayer {
  readonly buffers: LayerBuffers;
  /** Tokens of each KV head. */
  readonly lengths: readonly number[];
  /** Ascending slots that each keeps. */
  readonly kept: readonly Int32Array[];
  /** Least cosine of a key with that of a kept token with which its value is merged. */
  readonly threshold: number;
  /** The same, where it depends on the cosines of all tokens of a head that are dropped, which are brought for it. */
  readonly least?: ((cosines: Float32Array) => number) | undefined;
}

/** Merges values where they lie. */
export interface MergeKernels extends AsyncDisposable {
  /**
   * Values of the tokens that stay once those of the others have gone into them, in the slots that they get by
   * compaction, `[kvHeads, most that a head keeps, headDim]`. The caller owns them.
   */
  merged(layer: MergedLayer): Promise<DeviceTensor>;
}

/** Cosines of a part: 16 MiB. */
const MOST_COSINES = 1 << 22;

/** Keeps values without length from dividing by nothing. */
const EPSILON = 1e-6;

/**
 * Loads kernels when they are first asked for.
 *
 * @param mostCosines Cosines that are laid out at a time: a longer head is merged part by part.
 */
export function createMergeKernels(
  device: Device,
  { headDim }: { readonly headDim: number },
  element: CacheElement,
  mostCosines = MOST_COSINES,
): MergeKernels {
  const kernels = loadedOnDemand(device);
  const builds = {
    nearest: () => nearestGraph(headDim, element),
    part: () => partGraph(headDim, element),
    finish: () => finishGraph(headDim, element),
  };
  const kept = async (name: keyof typeof builds, feeds: Parameters<typeof kernels.run>[1]) =>
    (await kernels.run(builds[name], feeds, ["result"])).kept("result");
  return {
    async merged({ buffers: { keys, values }, lengths, kept: all, threshold, least }) {
      const counting = await kernels.counting(keys.dims[1] ?? 0);
      const most = Math.max(0, ...all.map(({ length }) => length));
      using merged = inTurn(await device.zeros([all.length, most, headDim], element));
      for (const [head, slots] of all.entries()) {
        const { length: count } = slots;
        if (count === 0) continue;
        const ofHead = {
          head: integers([head]),
          until: integers([head + 1]),
          slots: floats(Float32Array.from(slots), [count]),
        };
        const parts = partsOf(lengths[head] ?? 0, count, mostCosines).map(({ from, to }) => ({
          ...ofHead,
          ...{ keys, from: integers([from]), to: integers([to]) },
        }));
        let limit = threshold;
        if (least) {
          const cosines: number[] = [];
          for (const part of parts) {
            cosines.push(...(await kernels.run(builds.nearest, part)).floats("cosines"));
          }
          const stays = new Set(slots);
          const dropped = Float32Array.from(cosines.filter((_, slot) => !stays.has(slot)));
          limit = Math.max(limit, least(dropped));
        }
        const limits = floats(Float32Array.of(limit), [1]);
        using sums = inTurn(await device.zeros([count, headDim + 1]));
        for (const part of parts) {
          const feeds = { ...part, values, counting, least: limits, sums: sums.now };
          sums.replace(await kept("part", feeds));
        }
        const places = Array.from({ length: count }, (_, place) => [head, place]).flat();
        const chosen = integers(places, [count, 2]);
        const feeds = { ...ofHead, values, sums: sums.now, merged: merged.now, chosen };
        merged.replace(await kept("finish", feeds));
      }
      return merged.take();
    },
    [Symbol.asyncDispose]: () => kernels[Symbol.asyncDispose](),
  };
}

interface InTurn extends Disposable {
  readonly now: DeviceTensor;
  replace(next: DeviceTensor): void;
  /** Hands it over. */
  take(): DeviceTensor;
}

/** Tensors that take one another's place: the last one is owned. */
function inTurn(first: DeviceTensor): InTurn {
  let now = first;
  let taken = false;
  const free = () => taken || now[Symbol.dispose]();
  return {
    get now() {
      return now;
    },
    replace(next) {
      free();
      now = next;
    },
    take() {
      taken = true;
      return now;
    },
    [Symbol.dispose]: () => void free(),
  };
}

/** Stretches of slots whose cosines with so many kept tokens are laid out at a time. */
function partsOf(length: number, kept: number, mostCosines: number) {
  if (length === kept) return [];
  const size = Math.max(1, Math.floor(mostCosines / kept));
  return Array.from({ length: Math.ceil(length / size) }, (_, part) => ({
    from: part * size,
    to: Math.min(length, (part + 1) * size),
  }));
}

/** The kept tokens, and how near they are to each slot of a part. */
interface Nearest {
  /** `[K]`. */
  readonly kept: Value;
  /** Cosines with all of them, `[S, K]`. */
  readonly all: Value;
  /** With the nearest, `[S, 1]`. */
  readonly cosines: Value;
}

/** Rows of a KV head, `[C, headDim]`, and some stretch of them. */
function rowsOf(graph: GraphBuilder, name: "keys" | "values", headDim: number, type: CacheElement) {
  const axis = graph.integers([0]);
  graph.input(name, type, ["H", "C", headDim]);
  const ofHead = graph.op("Squeeze", [graph.op("Slice", [name, "head", "until", axis]), axis]);
  const all = type === "float32" ? ofHead : cast(graph, ofHead, "float32");
  return { all, part: () => graph.op("Slice", [all, "from", "to", axis]) };
}

function declareHead(graph: GraphBuilder): Value {
  graph.input("head", "int64", [1]);
  graph.input("until", "int64", [1]);
  return cast(graph, graph.input("slots", "float32", ["K"]), "int32");
}

function nearest(graph: GraphBuilder, headDim: number, type: CacheElement): Nearest {
  const kept = declareHead(graph);
  graph.input("from", "int64", [1]);
  graph.input("to", "int64", [1]);
  const keys = rowsOf(graph, "keys", headDim, type);
  const unit = (rows: Value) => {
    const least = graph.constant(Float32Array.of(1e-20), [1]);
    return graph.op("Div", [rows, graph.op("Max", [lengthsOf(graph, rows), least])]);
  };
  const turned = graph.op("Transpose", [unit(graph.op("Gather", [keys.all, kept]))], {
    attributes: { perm: { ints: [1, 0] } },
  });
  const all = graph.op("MatMul", [unit(keys.part()), turned]);
  return { kept, all, cosines: most(graph, all) };
}

function nearestGraph(headDim: number, type: CacheElement): Graph {
  const graph = createGraph("nearest_kept");
  const { cosines } = nearest(graph, headDim, type);
  graph.op("Identity", [cosines], { names: ["cosines"] });
  graph.output("cosines", "float32", ["S", 1]);
  return graph.build();
}

/** Adds a part's weighed values, and behind them the weights, to the sums of the kept tokens, `[K, headDim + 1]`. */
function partGraph(headDim: number, type: CacheElement): Graph {
  const graph = createGraph("merge_part");
  const { kept, all, cosines } = nearest(graph, headDim, type);
  graph.input("counting", "float32", ["N"]);
  graph.input("least", "float32", [1]);
  graph.input("sums", "float32", ["K", headDim + 1]);
  const values = rowsOf(graph, "values", headDim, type);
  const number = (value: number) => graph.constant(Float32Array.of(value), [1]);
  const asColumn = (value: Value) => graph.op("Reshape", [value, graph.integers([-1, 1])]);
  const asRow = (value: Value) => graph.op("Reshape", [value, graph.integers([1, -1])]);
  const truth = (operator: string, a: Value, b: Value) =>
    cast(graph, graph.op(operator, [a, b]), "float32");
  /** 1 where whole numbers are the same. */
  const same = (column: Value, row: Value) =>
    truth("Less", graph.op("Abs", [graph.op("Sub", [column, row])]), number(0.5));
  const axis = graph.integers([0]);
  const first = graph.op("Slice", ["counting", axis, sizeOf(graph, "slots", 0), axis]);
  const last = graph.op("ReduceMax", [first, axis], { attributes: { keepdims: { int: 1 } } });
  const places = firstLargest(graph, all, { largest: cosines, places: first, axis: 1, last });
  const own = values.part();
  const lengths = lengthsOf(graph, own);
  const ofNearest = graph.op("Gather", [
    lengthsOf(graph, graph.op("Gather", [values.all, kept])),
    cast(graph, places, "int32"),
  ]);
  const share = graph.op("Div", [
    graph.op("Mul", [cosines, lengths]),
    graph.op("Add", [graph.op("Add", [lengths, ofNearest]), number(EPSILON)]),
  ]);
  const slots = asColumn(graph.op("Slice", ["counting", "from", "to", axis]));
  const stays = most(graph, same(slots, asRow("slots")));
  const counted = [
    truth("GreaterOrEqual", cosines, "least"),
    truth("Greater", cosines, number(0)),
    graph.op("Sub", [number(1), stays]),
  ].reduce((weight, factor) => graph.op("Mul", [weight, factor]), share);
  const targets = same(asColumn(places), asRow(first));
  const weights = graph.op("Mul", [targets, counted]);
  const byTarget = graph.op("Transpose", [weights], { attributes: { perm: { ints: [1, 0] } } });
  const added = graph.op("Concat", [
    graph.op("MatMul", [byTarget, own]),
    graph.op("ReduceSum", [byTarget, graph.integers([1])], {
      attributes: { keepdims: { int: 1 } },
    }),
  ], { attributes: { axis: { int: 1 } } });
  graph.op("Add", ["sums", added], { names: ["result"] });
  graph.output("result", "float32", ["K", headDim + 1]);
  return graph.build();
}

/** Puts what a head's kept tokens have become into their slots. */
function finishGraph(headDim: number, type: CacheElement): Graph {
  const graph = createGraph("merge_finish");
  const kept = declareHead(graph);
  graph.input("sums", "float32", ["K", headDim + 1]);
  graph.input("merged", type, ["H", "M", headDim]);
  graph.input("chosen", "int64", ["K", 2]);
  const values = rowsOf(graph, "values", headDim, type);
  const [sum = "", weight = ""] = graph.ops("Split", ["sums", graph.integers([headDim, 1])], 2, {
    attributes: { axis: { int: 1 } },
  });
  const rows = graph.op("Div", [
    graph.op("Add", [graph.op("Gather", [values.all, kept]), sum]),
    graph.op("Add", [weight, graph.constant(Float32Array.of(1), [1])]),
  ]);
  const written = type === "float32" ? rows : cast(graph, rows, type);
  graph.op("ScatterND", ["merged", "chosen", written], { names: ["result"] });
  graph.output("result", type, ["H", "M", headDim]);
  return graph.build();
}

/** Lengths of rows, `[rows, 1]`. */
function lengthsOf(graph: GraphBuilder, rows: Value): Value {
  return graph.op("ReduceL2", [rows, graph.integers([1])], {
    attributes: { keepdims: { int: 1 } },
  });
}

/** The largest of each row, `[rows, 1]`. */
function most(graph: GraphBuilder, rows: Value): Value {
  return graph.op("ReduceMax", [rows, graph.integers([1])], {
    attributes: { keepdims: { int: 1 } },
  });
}
