import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph } from "../onnx/graph.ts";
import { floats, integers } from "../session.ts";
import type { Device, DeviceTensor } from "./device.ts";
import { buildsOf, loadedOnDemand } from "./on_demand.ts";

/** What is done to rows of numbers per query head and slot, `[heads, capacity]`. */
export interface RowKernels extends AsyncDisposable {
  /** The sum; rows with fewer slots count as if zeros followed. */
  plus(a: DeviceTensor, b: DeviceTensor): Promise<DeviceTensor>;
  /** The larger of both, counted the same way. */
  most(a: DeviceTensor, b: DeviceTensor): Promise<DeviceTensor>;
  times(rows: DeviceTensor, factor: number): Promise<DeviceTensor>;
  /** Each number times that of other rows in the same slot, which are as many or more. */
  timesRows(rows: DeviceTensor, factors: DeviceTensor): Promise<DeviceTensor>;
  /**
   * Some columns of the rows of each KV head.
   *
   * @param slots Of each KV head equally many, `[kvHeads, N]`; below 0 where a 0 is wanted.
   */
  columns(rows: DeviceTensor, slots: Float32Array, kvHeads: number): Promise<DeviceTensor>;
  /** The numbers of rows, or of queries `[tokens, heads, headDim]`, in main memory. */
  read(rows: DeviceTensor): Promise<Float32Array>;
  /** Rows of one number. */
  filled(number: number, heads: number, slots: number): Promise<DeviceTensor>;
  /** Brings numbers from main memory. */
  written(numbers: Float32Array, heads: number): Promise<DeviceTensor>;
}

/** Loads kernels when they are first asked for. */
export function createRowKernels(device: Device): RowKernels {
  const kernels = loadedOnDemand(device);
  const columns = buildsOf(columnsGraph);
  const kept = async (build: () => Graph, feeds: Parameters<typeof kernels.run>[1]) =>
    (await kernels.run(build, feeds, ["result"])).kept("result");
  const joined = (build: () => Graph, a: DeviceTensor, b: DeviceTensor) => {
    const [, slots = 0] = a.dims;
    const [, fewer = 0] = b.dims;
    if (fewer > slots) return joined(build, b, a);
    return kept(build, { a, b, pads: integers([0, 0, 0, slots - fewer]) });
  };
  return {
    plus: (a, b) => joined(plusGraph, a, b),
    most: (a, b) => joined(mostGraph, a, b),
    times: (rows, factor) =>
      kept(timesGraph, { rows, factor: floats(Float32Array.of(factor), [1]) }),
    timesRows: (rows, factors) => kept(timesRowsGraph, { rows, factors }),
    columns(rows, slots, kvHeads) {
      const [heads = 1] = rows.dims;
      const group = heads / kvHeads;
      return kept(columns({ kvHeads, group }), {
        rows,
        slots: floats(slots, [kvHeads, 1, slots.length / kvHeads]),
      });
    },
    async read(rows) {
      const build = rows.dims.length === 3 ? readQueriesGraph : readGraph;
      return (await kernels.run(build, { rows })).floats("result");
    },
    filled: (number, heads, slots) =>
      kept(fillGraph, {
        number: floats(Float32Array.of(number), [1]),
        size: integers([heads, slots]),
      }),
    written: (numbers, heads) =>
      kept(writeGraph, { rows: floats(numbers, [heads, numbers.length / heads]) }),
    [Symbol.asyncDispose]: () => kernels[Symbol.asyncDispose](),
  };
}

const plusGraph = () => joinedGraph("add_rows", "Add");
const mostGraph = () => joinedGraph("most_of_rows", "Max");

function joinedGraph(name: string, join: "Add" | "Max"): Graph {
  const graph = createGraph(name);
  graph.input("a", "float32", ["A", "C"]);
  graph.input("b", "float32", ["A", "B"]);
  graph.input("pads", "int64", [4]);
  graph.op(join, ["a", graph.op("Pad", ["b", "pads"])], { names: ["result"] });
  graph.output("result", "float32", ["A", "C"]);
  return graph.build();
}

function timesGraph(): Graph {
  const graph = createGraph("scale_rows");
  graph.input("rows", "float32", ["A", "C"]);
  graph.input("factor", "float32", [1]);
  graph.op("Mul", ["rows", "factor"], { names: ["result"] });
  graph.output("result", "float32", ["A", "C"]);
  return graph.build();
}

function timesRowsGraph(): Graph {
  const graph = createGraph("multiply_rows");
  graph.input("rows", "float32", ["A", "C"]);
  graph.input("factors", "float32", ["A", "B"]);
  const slots = graph.op("Shape", ["rows"], {
    attributes: { start: { int: 1 }, end: { int: 2 } },
  });
  const same = graph.op("Slice", ["factors", graph.integers([0]), slots, graph.integers([1])]);
  graph.op("Mul", ["rows", same], { names: ["result"] });
  graph.output("result", "float32", ["A", "C"]);
  return graph.build();
}

function columnsGraph({ kvHeads, group }: Readonly<Record<"kvHeads" | "group", number>>): Graph {
  const graph = createGraph("row_columns");
  graph.input("rows", "float32", ["A", "C"]);
  graph.input("slots", "float32", [kvHeads, 1, "N"]);
  const zero = graph.constant(new Float32Array(1), []);
  const ofHeads = graph.op("Reshape", [
    graph.op("Expand", ["slots", graph.integers([1, group, 1])]),
    graph.integers([kvHeads * group, -1]),
  ]);
  // Slots are whole numbers far below 2²⁴; whole ones would be compared on the processor.
  const places = cast(graph, graph.op("Max", [ofHeads, zero]), "int32");
  const chosen = graph.op("GatherElements", ["rows", places], {
    attributes: { axis: { int: 1 } },
  });
  // Not a product: what is not chosen may be infinite.
  graph.op("Where", [graph.op("GreaterOrEqual", [ofHeads, zero]), chosen, zero], {
    names: ["result"],
  });
  graph.output("result", "float32", ["A", "N"]);
  return graph.build();
}

function fillGraph(): Graph {
  const graph = createGraph("fill_rows");
  graph.input("number", "float32", [1]);
  graph.input("size", "int64", [2]);
  graph.op("Expand", ["number", "size"], { names: ["result"] });
  graph.output("result", "float32", ["A", "C"]);
  return graph.build();
}

function copied(name: string, shape: readonly string[]): Graph {
  const graph = createGraph(name);
  graph.input("rows", "float32", shape);
  graph.op("Identity", ["rows"], { names: ["result"] });
  graph.output("result", "float32", shape);
  return graph.build();
}

const readGraph = (): Graph => copied("read_rows", ["A", "C"]);
const readQueriesGraph = (): Graph => copied("read_queries", ["T", "A", "D"]);
const writeGraph = (): Graph => copied("write_rows", ["A", "C"]);
