import type { CacheElement } from "../../../kernels/device/layer_buffers.ts";
import { createGraph, type Graph, type GraphBuilder } from "../../../kernels/onnx/graph.ts";
import type {
  KernelBuilder,
  KernelValue,
  LayerShape,
  RescoreKernel,
  ScoreKernel,
} from "../../../policies/policy.ts";

/** Which tokens of each KV head are wanted, besides their scores. */
export interface RankSpec {
  /** Tokens per KV head. */
  readonly count: number;
  /** Leading tokens that are among them. */
  readonly sinks: number;
  /** Last tokens that are. */
  readonly recent: number;
  /** Whether others are, which an input marks. */
  readonly pinned: boolean;
  /** How all but the first `firstCount` tokens are chosen by other scores. */
  readonly second?: {
    readonly kernel: RescoreKernel;
    readonly firstCount: number;
  };
}

/** What a score graph is built for. */
export interface ScoreSpec {
  readonly kernel: ScoreKernel;
  /** Query heads and KV heads that are shown, the first of these, and their tokens. */
  readonly shape: {
    readonly heads: number;
    readonly kvHeads: number;
    readonly headDim: number;
    readonly length: number;
    readonly firstHead: number;
  };
  /** Whether only some tokens are shown, which inputs name. */
  readonly chosen: boolean;
  /** Type of keys and values. */
  readonly element: CacheElement;
  /** Absent: scores are wanted. */
  readonly rank?: RankSpec;
  /** Scores of a second stage that are wanted besides. */
  readonly again?: RescoreKernel;
}

/** Tensors of a layer that a kernel may ask for. */
export const LAYER_INPUTS = [
  "keys",
  "values",
  "attention",
  "draft",
  "mean",
  "variance",
  "norms",
] as const;

/** One of {@linkcode LAYER_INPUTS}. */
export type LayerInput = typeof LAYER_INPUTS[number];

/** A score graph and what it must be fed. */
export interface ScoreGraph {
  readonly graph: Graph;
  /** Tensors of the layer. */
  readonly inputs: ReadonlySet<LayerInput>;
  /** Numbers that are computed for each layer. */
  readonly given: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly make: (layer: LayerShape) => Float32Array;
  }[];
}

/**
 * Builds the graph of a score kernel over the buffers of a cache.
 *
 * Inputs, those that the kernel asks for: `keys`, `values [kvHeads of the model, capacity, headDim]`,
 * `attention`, `mean`, `variance [heads of the model, capacity]`, `norms [kvHeads of the model,
 * capacity]`; where tokens are chosen `chosen [kvHeads, length, 2]` (KV head and slot) and
 * `chosen_rows [heads, length, 2]` (query head and slot); `pinned [kvHeads, length]`, 1 at tokens that
 * must stay. Output: `scores [kvHeads, length]`, with a second
 * stage `rescored` too, or `best [kvHeads, count]`, indices, best first.
 */
export function buildScoreGraph(
  { kernel, shape, chosen, element, rank, again }: ScoreSpec,
): ScoreGraph {
  const graph = createGraph("scores");
  const { heads, kvHeads, headDim, length, firstHead } = shape;
  const group = heads / kvHeads;
  const inputs = new Set<LayerInput>();
  const given: ScoreGraph["given"][number][] = [];
  const declared = new Map<string, KernelValue>();
  const declare = (name: string, make: () => KernelValue): KernelValue => {
    const known = declared.get(name) ?? make();
    declared.set(name, known);
    return known;
  };
  const pairs = (name: "chosen" | "chosen_rows", rows: number) =>
    declare(name, () => graph.input(name, "int64", [rows, length, 2]));
  /** What is shown of `[rows of the model, capacity, …]`. */
  const cut = (value: KernelValue, perHead: number): KernelValue => {
    const rows = perHead * kvHeads;
    if (chosen) {
      const by = perHead === 1 ? pairs("chosen", rows) : pairs("chosen_rows", rows);
      return graph.op("GatherND", [value, by]);
    }
    const from = perHead * firstHead;
    return graph.op("Slice", [
      value,
      graph.integers([from, 0]),
      graph.integers([from + rows, length]),
      graph.integers([0, 1]),
    ]);
  };
  const entries = (name: "keys" | "values") =>
    declare(`${name} cut`, () => {
      inputs.add(name);
      graph.input(name, element, ["H", "C", headDim]);
      const shown = cut(name, 1);
      return element === "float32"
        ? shown
        : graph.op("Cast", [shown], { attributes: { to: { int: 1 } } });
    });
  const rows = (name: Exclude<LayerInput, "keys" | "values">) =>
    declare(`${name} cut`, () => {
      inputs.add(name);
      graph.input(name, "float32", [`rows_${name}`, `slots_${name}`]);
      return cut(name, name === "norms" ? 1 : group);
    });
  const builder: KernelBuilder = {
    heads,
    kvHeads,
    headDim,
    length,
    keys: () => entries("keys"),
    values: () => entries("values"),
    attention: () => rows("attention"),
    groupAttention: () =>
      declare("group attention", () => {
        if (group === 1) return rows("attention");
        const byGroup = graph.op("Reshape", [
          rows("attention"),
          graph.integers([kvHeads, group, length]),
        ]);
        return graph.op("ReduceMean", [byGroup, graph.integers([1])], {
          attributes: { keepdims: { int: 0 } },
        });
      }),
    draftAttention: () => rows("draft"),
    expectedLogits: () => ({ mean: rows("mean"), variance: rows("variance") }),
    outputNorms: () => rows("norms"),
    given(size, make) {
      const name = graph.input(`given_${given.length}`, "float32", size);
      given.push({ name, shape: size, make });
      return name;
    },
    constant: (numbers, size) => graph.constant(numbers, size),
    integers: (values) => graph.integers(values),
    op: (operator, values, attributes = {}) => graph.op(operator, values, { attributes }),
    ops: (operator, values, count, attributes = {}) =>
      graph.ops(operator, values, count, { attributes }),
  };
  const scores = kernel(builder);
  if (!rank) {
    graph.op("Identity", [scores], { names: ["scores"] });
    graph.output("scores", "float32", [kvHeads, length]);
    if (again) {
      graph.op("Identity", [again(builder, scores)], { names: ["rescored"] });
      graph.output("rescored", "float32", [kvHeads, length]);
    }
  } else {
    const pinned = rank.pinned ? graph.input("pinned", "float32", [kvHeads, length]) : undefined;
    emitRank(graph, builder, scores, rank, pinned);
    graph.output("best", "int64", [kvHeads, rank.count]);
  }
  return { graph: graph.build(), inputs, given };
}

function emitRank(
  graph: GraphBuilder,
  builder: KernelBuilder,
  scores: KernelValue,
  { count, sinks, recent, second }: RankSpec,
  pinned: KernelValue | undefined,
): void {
  const { kvHeads, length } = builder;
  const row = Float32Array.from(
    { length },
    (_, token) => token < sinks || token >= length - recent ? 1 : 0,
  );
  let mask = graph.op("Expand", [
    graph.constant(row, [1, length]),
    graph.integers([kvHeads, length]),
  ]);
  if (pinned !== undefined) mask = graph.op("Max", [mask, pinned]);
  const best = (values: KernelValue, count: number, names: readonly string[] = []): KernelValue => {
    const raised = graph.op("Where", [
      graph.op("Greater", [mask, graph.constant(Float32Array.of(0.5), [])]),
      graph.constant(Float32Array.of(Infinity), []),
      values,
    ]);
    const [, indices = ""] = graph.ops("TopK", [raised, graph.integers([count])], 2, {
      attributes: { axis: { int: -1 }, largest: { int: 1 }, sorted: { int: 1 } },
      names: names.length > 0 ? [`${names[0]}_values`, ...names] : [],
    });
    return indices;
  };
  if (!second) {
    best(scores, count, ["best"]);
    return;
  }
  const rescored = second.kernel(builder, scores);
  if (second.firstCount > 0) {
    const ones = new Float32Array(kvHeads * second.firstCount).fill(1);
    mask = graph.op("ScatterElements", [
      mask,
      best(scores, second.firstCount),
      graph.constant(ones, [kvHeads, second.firstCount]),
    ], { attributes: { axis: { int: 1 } } });
  }
  best(rescored, count, ["best"]);
}
