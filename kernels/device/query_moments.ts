import type { AttentionShape } from "../attention_nodes.ts";
import { exactInput } from "../onnx/cast.ts";
import { createGraph, type Graph, type GraphBuilder, type Value } from "../onnx/graph.ts";
import { emitQueryStatistics } from "../query_statistics.ts";
import type { RotaryRows, RotarySpan } from "../rope.ts";
import { floats, integers } from "../session.ts";
import type { Device, DeviceFeeds, DeviceTensor } from "./device.ts";
import type { CacheElement } from "./layer_buffers.ts";
import { turnedOver } from "./masked_attention.ts";
import { buildsOf, loadedOnDemand } from "./on_demand.ts";
import { declareSpans, spanParts, spanStarts } from "./rotary_spans.ts";
import { createSentOnce } from "./sent_once.ts";

/** Moments of un-rotated queries of one layer. Whoever asked for them owns them. */
export interface MomentTensors {
  /** `[heads, headDim]`. */
  readonly mean: DeviceTensor;
  /** Outer products of the differences from the mean, summed, `[heads, headDim, headDim]`. */
  readonly products: DeviceTensor;
}

/** Queries of one layer that are added to moments. */
export interface AddedQueries {
  /** Rotated, `[tokens, heads, headDim]`. */
  readonly queries: DeviceTensor;
  /** How all but the first `skip` of them were rotated. Layers that are rotated alike have the same object. */
  readonly rotary: RotarySpan;
  /** What was added before, if anything was. */
  readonly before: MomentTensors | undefined;
}

/** How much new queries count. */
export interface AddedShare {
  /** The first tokens of the queries that are left out. */
  readonly skip: number;
  /** Tokens that are added. */
  readonly added: number;
  /** Tokens that were added before. */
  readonly before: number;
}

/** Moments of queries, and what they make queries to come pay, where the cache lives. */
export interface MomentKernels extends AsyncDisposable {
  /**
   * Adds queries of all layers in one run. Tables to turn them back by are computed there, from rotations that
   * are sent once.
   */
  add(layers: readonly AddedQueries[], share: AddedShare): Promise<readonly MomentTensors[]>;
  /**
   * Moments of the logits of each slot, `[heads, capacity]` each, under queries of these moments, rotated.
   * The caller owns them.
   *
   * @param count Tokens that the moments are of.
   * @param rotation One row.
   */
  expectedLogits(
    keys: DeviceTensor,
    moments: MomentTensors | undefined,
    count: number,
    rotation: RotaryRows,
  ): Promise<{ readonly mean: DeviceTensor; readonly variance: DeviceTensor }>;
}

/** Loads kernels when they are first asked for. */
export function createMomentKernels(
  device: Device,
  shape: AttentionShape,
  element: CacheElement,
): MomentKernels {
  const kernels = loadedOnDemand(device);
  const sentOnce = createSentOnce(device);
  const { heads, headDim } = shape;
  const half = headDim / 2;
  const builds = buildsOf((of: Added) => addingGraph(shape, of));
  const buildExpected = () => expectedGraph(shape, element);
  return {
    async add(layers, { skip, added, before }) {
      const tables = [...new Set(layers.map(({ rotary }) => rotary))];
      const ofLayers = layers.map(({ rotary }) => tables.indexOf(rotary));
      const further = before > 0;
      const feeds: Record<string, DeviceFeeds[string]> = {
        first: integers([skip]),
        added: integers([added]),
        starts: spanStarts(tables),
      };
      using lent = new DisposableStack();
      for (const [table, { frequencies }] of tables.entries()) {
        const parts = lent.use(await sentOnce.lend(spanParts(frequencies, added, table)));
        Object.assign(feeds, parts.tensors);
      }
      for (const [layer, { queries, before: held }] of layers.entries()) {
        feeds[`queries.${layer}`] = queries;
        if (!held || !further) continue;
        feeds[`held_mean.${layer}`] = held.mean;
        feeds[`held_products.${layer}`] = held.products;
      }
      if (further) {
        // Chan, Golub and LeVeque: how far the mean moves, and what lies between the two sets.
        const share = added / (before + added);
        feeds.weights = floats(Float32Array.of(share, share * before), [2]);
      }
      const names = layers.flatMap((_, layer) => [`mean.${layer}`, `products.${layer}`]);
      const found = await kernels.run(builds({ tables: ofLayers, further }), feeds, names);
      return layers.map((_, layer) => ({
        mean: found.kept(`mean.${layer}`),
        products: found.kept(`products.${layer}`),
      }));
    },
    async expectedLogits(keys, moments, count, { cos, sin }) {
      const found = await kernels.run(buildExpected, {
        keys,
        query_mean: moments?.mean ?? floats(new Float32Array(heads * headDim), [heads, headDim]),
        products: moments?.products ??
          floats(new Float32Array(heads * headDim * headDim), [heads, headDim, headDim]),
        share: floats(Float32Array.of(1 / Math.max(1, count)), [1]),
        cos: floats(cos, [half]),
        sin: floats(sin, [half]),
      }, ["mean", "variance"]);
      return { mean: found.kept("mean"), variance: found.kept("variance") };
    },
    async [Symbol.asyncDispose]() {
      await sentOnce[Symbol.asyncDispose]();
      await kernels[Symbol.asyncDispose]();
    },
  };
}

/** What queries are added to. */
interface Added {
  /** Which rotary tables each layer has. */
  readonly tables: readonly number[];
  /** Whether others were added before. */
  readonly further: boolean;
}

function addingGraph({ heads, headDim }: AttentionShape, { tables, further }: Added): Graph {
  const graph = createGraph("add_queries");
  graph.input("first", "int64", [1]);
  if (further) graph.input("weights", "float32", [2]);
  const rotary = declareSpans(graph, Math.max(...tables) + 1, headDim / 2);
  const weight = (at: number) =>
    graph.op("Slice", ["weights", ...[[at], [at + 1], [0]].map((list) => graph.integers(list))]);
  for (const [layer, table] of tables.entries()) {
    const queries = graph.op("Slice", [
      graph.input(`queries.${layer}`, "float32", ["Q", heads, headDim]),
      "first",
      graph.integers([Number.MAX_SAFE_INTEGER]),
      graph.integers([0]),
    ]);
    const added = emitQueryStatistics(
      graph,
      queries,
      rotary[table] ?? { cos: "", sin: "" },
      headDim,
    );
    const total = further ? merged(layer, added) : added;
    for (const name of ["mean", "products"] as const) {
      const size = name === "mean" ? [heads, headDim] : [heads, headDim, headDim];
      graph.op("Identity", [total[name]], { names: [`${name}.${layer}`] });
      graph.output(`${name}.${layer}`, "float32", size);
    }
  }
  return graph.build();

  function merged(layer: number, added: { readonly mean: Value; readonly products: Value }) {
    const mean = graph.input(`held_mean.${layer}`, "float32", [heads, headDim]);
    const products = graph.input(`held_products.${layer}`, "float32", [heads, headDim, headDim]);
    const apart = graph.op("Sub", [added.mean, mean]);
    const outer = graph.op("Mul", [
      graph.op("Unsqueeze", [apart, graph.integers([2])]),
      graph.op("Unsqueeze", [apart, graph.integers([1])]),
    ]);
    return {
      mean: graph.op("Add", [mean, graph.op("Mul", [apart, weight(0)])]),
      products: graph.op("Add", [
        graph.op("Add", [products, added.products]),
        graph.op("Mul", [outer, weight(1)]),
      ]),
    };
  }
}

function expectedGraph(
  { heads, kvHeads, headDim, attentionScale }: AttentionShape,
  element: CacheElement,
): Graph {
  const graph = createGraph("expected_logits");
  const group = heads / kvHeads;
  const half = headDim / 2;
  const keys = exactInput(graph, "keys", element, ["H", "C", headDim]);
  graph.input("query_mean", "float32", [heads, headDim]);
  graph.input("products", "float32", [heads, headDim, headDim]);
  graph.input("share", "float32", [1]);
  graph.input("cos", "float32", [half]);
  graph.input("sin", "float32", [half]);
  const covariance = graph.op("Mul", ["products", "share"]);
  const turned = rotated(graph, rotated(graph, covariance, 2, [half]), 1, [half, 1]);
  const scaled = (value: Value, factor: number, shape: readonly number[]) =>
    graph.op("Mul", [
      graph.op("Reshape", [value, graph.integers(shape)]),
      graph.constant(Float32Array.of(factor), []),
    ]);
  const mean = graph.op("MatMul", [
    scaled(rotated(graph, "query_mean", 1, [half]), attentionScale, [kvHeads, group, headDim]),
    turnedOver(graph, keys),
  ]);
  const perGroup = graph.op("Unsqueeze", [keys, graph.integers([1])]);
  const products = graph.op("MatMul", [
    perGroup,
    scaled(turned, attentionScale ** 2, [kvHeads, group, headDim, headDim]),
  ]);
  const variance = graph.op("ReduceSum", [
    graph.op("Mul", [products, perGroup]),
    graph.integers([3]),
  ], { attributes: { keepdims: { int: 0 } } });
  for (const [name, value] of [["mean", mean], ["variance", variance]] as const) {
    graph.op("Reshape", [value, graph.integers([heads, -1])], { names: [name] });
    graph.output(name, "float32", [heads, "C"]);
  }
  return graph.build();
}

/** Vectors along an axis, rotated; tables get a shape that goes with them. */
function rotated(graph: GraphBuilder, value: Value, axis: number, shape: readonly number[]): Value {
  const [a = "", b = ""] = graph.ops("Split", [value], 2, {
    attributes: { axis: { int: axis }, num_outputs: { int: 2 } },
  });
  const table = (name: string) => graph.op("Reshape", [name, graph.integers(shape)]);
  const times = (part: Value, name: string) => graph.op("Mul", [part, table(name)]);
  return graph.op("Concat", [
    graph.op("Sub", [times(a, "cos"), times(b, "sin")]),
    graph.op("Add", [times(b, "cos"), times(a, "sin")]),
  ], { attributes: { axis: { int: axis } } });
}
