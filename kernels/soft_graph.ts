import { type AdapterShape, adapterTensors } from "./adapters.ts";
import { differentiate } from "./autodiff/differentiate.ts";
import { declareLayer, emitLayers } from "./layer_nodes.ts";
import { cast } from "./onnx/cast.ts";
import { createGraph, type Graph, type GraphBuilder, type Value } from "./onnx/graph.ts";
import { meanPastAttention, softMix, type SoftShape, softWeights } from "./soft_attention.ts";
import { emitSoftLoss, type SoftLossOptions } from "./soft_loss.ts";
import type { StepModel } from "./step_model.ts";

/** How a soft graph is built. */
export interface SoftGraphOptions extends SoftLossOptions {
  /** Soft tokens. */
  readonly tokens: number;
  /** Type of the cached keys and values. */
  readonly past: "float32" | "float16";
  /** Products that have adapters, which are then differentiated by as well. */
  readonly adapters?: AdapterShape;
}

/** Name of the output that holds the gradient of an input. */
export function gradientName(input: string): string {
  return `gradient.${input}`;
}

/**
 * Builds the graph of one training step: soft tokens after a cached prompt, the attention that they
 * pay to it, the loss, and the loss's gradient.
 *
 * Inputs: `embeddings [T, hidden]`, `cos` and `sin [T, headDim / 2]`, `past_keys.L` and
 * `past_values.L [P, kvHeads, headDim]`, `target [layers, heads, P]`, `layer_weights [layers, 1, 1]`,
 * `gradients [1]` (whether they are wanted), and the adapter tensors. Outputs: `loss` (a scalar),
 * `attention [layers, heads, P]`, and the gradients, `gradient.NAME`, in the shape of their inputs;
 * where they are not wanted, they are empty and cost nothing. Adapters that the loss does not depend
 * on, those after the last layer's attention, have no gradient.
 */
export function buildSoftGraph(model: StepModel, options: SoftGraphOptions): Graph {
  const { tokens, past, adapters } = options;
  const { hidden, heads, kvHeads, headDim } = model;
  const layers = model.layers.length;
  const graph = createGraph("soft");
  graph.input("embeddings", "float32", [tokens, hidden]);
  graph.input("cos", "float32", [tokens, headDim / 2]);
  graph.input("sin", "float32", [tokens, headDim / 2]);
  graph.input("target", "float32", [layers, heads, "P"]);
  graph.input("layer_weights", "float32", [layers, 1, 1]);
  graph.input("gradients", "bool", [1]);
  const cached = model.layers.map((_, layer) => ({
    pastKeys: pastInput(graph, `past_keys.${layer}`, past, [kvHeads, headDim]),
    pastValues: pastInput(graph, `past_values.${layer}`, past, [kvHeads, headDim]),
  }));
  const maps = emitAttention(graph, model, { tokens, adapters, cached });
  const attention = named(graph, "attention", maps);
  const loss = named(
    graph,
    "loss",
    emitSoftLoss(graph, { ...model, ...options, layers }, {
      attention,
      target: "target",
      layerWeights: "layer_weights",
    }),
  );
  graph.output("loss", "float32", []);
  graph.output("attention", "float32", [layers, heads, "P"]);
  emitGradients(graph, loss, [
    { name: "embeddings", shape: [tokens, hidden] },
    ...(adapters ? adapterTensors(model, adapters) : []),
  ]);
  return graph.build();
}

interface CachedLayer {
  readonly pastKeys: Value;
  readonly pastValues: Value;
}

function pastInput(
  graph: GraphBuilder,
  name: string,
  type: SoftGraphOptions["past"],
  shape: readonly number[],
): Value {
  const value = graph.input(name, type, ["P", ...shape]);
  if (type === "float32") return value;
  return cast(graph, value, "float32");
}

function named(graph: GraphBuilder, name: string, value: Value): Value {
  graph.ops("Identity", [value], 1, { names: [name] });
  return name;
}

/** `[layers, heads, P]`. */
function emitAttention(
  graph: GraphBuilder,
  model: StepModel,
  { tokens, adapters, cached }: {
    tokens: number;
    adapters: AdapterShape | undefined;
    cached: readonly CachedLayer[];
  },
): Value {
  const shape: SoftShape = { ...model, tokens };
  const layers = model.layers.map((_, layer) => declareLayer(graph, model, layer, adapters));
  const maps: Value[] = [];
  const prompt = graph.op("Shape", ["target"], {
    attributes: { start: { int: 2 }, end: { int: 3 } },
  });
  const parts = graph.op("Concat", [prompt, graph.integers([tokens])], {
    attributes: { axis: { int: 0 } },
  });
  emitLayers(graph, model, layers, {
    rows: "embeddings",
    arithmetic: "float",
    attend(rotated, layer) {
      const past = cached[layer];
      if (!past) return undefined;
      const weights = softWeights(graph, shape, { ...rotated, ...past });
      maps.push(meanPastAttention(graph, shape, weights));
      if (layer === layers.length - 1) return undefined;
      return softMix(graph, shape, weights, { ...rotated, ...past, parts });
    },
  });
  return graph.op("Concat", maps, { attributes: { axis: { int: 0 } } });
}

interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Puts the way back into a branch, so that it costs nothing where it is not wanted. */
function emitGradients(graph: GraphBuilder, loss: Value, by: readonly Parameter[]): void {
  const [backward, nothing] = [graph.branch("backward"), graph.branch("nothing")];
  const gradients = differentiate(graph.build(), {
    loss,
    by: by.map(({ name }) => name),
    into: backward,
  });
  const ports = by.filter(({ name }) => gradients.has(name));
  for (const { name, shape } of ports) {
    backward.output(gradients.get(name) ?? "", "float32", shape);
    const empty = nothing.constant(new Float32Array(0), [0]);
    nothing.output(nothing.op("Identity", [empty]), "float32", [0]);
  }
  graph.ops(
    "If",
    [graph.op("Squeeze", ["gradients", graph.integers([0])])],
    ports.length,
    {
      names: ports.map(({ name }) => gradientName(name)),
      attributes: {
        then_branch: { graph: backward.build() },
        else_branch: { graph: nothing.build() },
      },
    },
  );
  for (const { name, shape } of ports) {
    graph.output(gradientName(name), "float32", shape.map((_, axis) => `${name}.${axis}`));
  }
}
