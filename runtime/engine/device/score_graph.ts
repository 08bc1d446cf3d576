import type { CacheElement } from "../../../kernels/device/layer_buffers.ts";
import { createGraph, type Graph } from "../../../kernels/onnx/graph.ts";
import type {
  KernelBuilder,
  KernelValue,
  LayerShape,
  RescoreKernel,
  ScoreKernel,
} from "../../../policies/policy.ts";

/** What a score graph is built for: any number of tokens, unless its kernel wants to know it. */
export interface ScoreSpec {
  readonly kernel: ScoreKernel;
  /** Scores of a second stage that are wanted besides. */
  readonly again?: RescoreKernel;
  /** Query heads and KV heads that are shown, and the first of these. */
  readonly shape: {
    readonly heads: number;
    readonly kvHeads: number;
    readonly headDim: number;
    readonly firstHead: number;
  };
  /** Whether only some tokens are shown, which inputs name. */
  readonly chosen: boolean;
  /** Type of keys and values. */
  readonly element: CacheElement;
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

/** Inputs that are the same for all layers of one shape. */
export const SHARED_INPUTS: ReadonlySet<string> = new Set(["tokens", "counting"]);

/** A score graph and what it must be fed. */
export interface ScoreGraph {
  readonly graph: Graph;
  /** Fewest and most tokens that it serves. */
  readonly serves: { readonly least: number; readonly most: number };
  /** Tensors of the layer. */
  readonly inputs: ReadonlySet<LayerInput>;
  /** Numbers that are computed for each layer. */
  readonly given: readonly {
    readonly name: string;
    readonly shape: readonly (number | "length")[];
    readonly make: (layer: LayerShape) => Float32Array;
  }[];
}

/**
 * Builds the graph of a score kernel over the buffers of a cache.
 *
 * Inputs, those that the kernel asks for: `keys`, `values [kvHeads of the model, capacity, headDim]`,
 * `attention`, `mean`, `variance [heads of the model, capacity]`, `norms [kvHeads of the model,
 * capacity]`; `tokens [1]`, how many are shown; where these are chosen `chosen [kvHeads, length, 2]` (KV
 * head and slot) and `chosen_rows [heads, length, 2]` (query head and slot); `counting [N]`, the floats 0, 1,
 * 2 and so on, at least as many as there are tokens. Outputs: `scores [kvHeads, length]`, and with a
 * second stage `rescored`.
 *
 * @param length Tokens for which the kernel is built, where it wants to know.
 */
export function buildScoreGraph(
  { kernel, again, shape, chosen, element }: ScoreSpec,
  length: number,
): ScoreGraph {
  const graph = createGraph("scores");
  const { heads, kvHeads, headDim, firstHead } = shape;
  const group = heads / kvHeads;
  const inputs = new Set<LayerInput>();
  const given: ScoreGraph["given"][number][] = [];
  let [least, most] = [1, Infinity];
  const declared = new Map<string, KernelValue>();
  const declare = (name: string, make: () => KernelValue): KernelValue => {
    const known = declared.get(name) ?? make();
    declared.set(name, known);
    return known;
  };
  const tokens = () => declare("tokens", () => graph.input("tokens", "int64", [1]));
  const counting = () =>
    declare("counting", () =>
      graph.op("Slice", [
        graph.input("counting", "float32", ["N"]),
        graph.integers([0]),
        tokens(),
        graph.integers([0]),
      ]));
  const pairs = (name: "chosen" | "chosen_rows", rows: number) =>
    declare(name, () => graph.input(name, "int64", [rows, "L", 2]));
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
      graph.op("Concat", [graph.integers([from + rows]), tokens()], {
        attributes: { axis: { int: 0 } },
      }),
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
    get length() {
      [least, most] = [length, length];
      return length;
    },
    atLeast(count) {
      const enough = length >= count;
      if (enough) least = Math.max(least, count);
      else most = Math.min(most, count - 1);
      return enough;
    },
    tokens,
    counting,
    keys: () => entries("keys"),
    values: () => entries("values"),
    attention: () => rows("attention"),
    groupAttention: () =>
      declare("group attention", () => {
        if (group === 1) return rows("attention");
        const byGroup = graph.op("Reshape", [
          rows("attention"),
          graph.integers([kvHeads, group, -1]),
        ]);
        return graph.op("ReduceMean", [byGroup, graph.integers([1])], {
          attributes: { keepdims: { int: 0 } },
        });
      }),
    draftAttention: () => rows("draft"),
    expectedLogits: () => ({ mean: rows("mean"), variance: rows("variance") }),
    outputNorms: () => rows("norms"),
    given(size, make) {
      const dimensions = size.map((one) => one === "length" ? "L" : one);
      const name = graph.input(`given_${given.length}`, "float32", dimensions);
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
  graph.op("Identity", [scores], { names: ["scores"] });
  graph.output("scores", "float32", [kvHeads, "L"]);
  if (again) {
    graph.op("Identity", [again(builder, scores)], { names: ["rescored"] });
    graph.output("rescored", "float32", [kvHeads, "L"]);
  }
  return { graph: graph.build(), serves: { least, most }, inputs, given };
}
