import { type AdapterShape, adapterTensors } from "./adapters.ts";
import { differentiate } from "./autodiff/differentiate.ts";
import { declareLayer, emitLayers } from "./layer_nodes.ts";
import { cast } from "./onnx/cast.ts";
import { declareRotary } from "./rotary_inputs.ts";
import {
  createGraph,
  type Dimension,
  type Graph,
  type GraphBuilder,
  type Value,
} from "./onnx/graph.ts";
import {
  meanPastAttention,
  softMix,
  type SoftShape,
  softWeights,
  type SoftWindow,
} from "./soft_attention.ts";
import { emitSoftLoss, type SoftLossOptions } from "./soft_loss.ts";
import type { StepModel } from "./step_model.ts";

/** How a soft graph is built. */
export interface SoftGraphOptions extends SoftLossOptions {
  /** Soft tokens. */
  readonly tokens: number;
  /** Layers whose attention is compared, in order, all with the same window if with any. */
  readonly judged: readonly number[];
  /** Groups of soft tokens, equally many in a row each, whose attention is compared for itself. */
  readonly groups: number;
  /** Type of the cached keys and values. */
  readonly past: "float32" | "float16";
  /** Products that have adapters, which are then differentiated by as well. */
  readonly adapters?: AdapterShape;
}

/** Name of the input that says which cached tokens soft tokens see in layers of a window. */
export function maskName(window: number): string {
  return `past_mask.${window}`;
}

/** Windows of a model's layers, each once. */
export function windowsOf({ layerKinds }: Pick<StepModel, "layerKinds">): readonly number[] {
  return [...new Set(layerKinds.flatMap(({ window }) => window === undefined ? [] : [window]))];
}

/** Name of the output that holds the gradient of an input. */
export function gradientName(input: string): string {
  return `gradient.${input}`;
}

/**
 * Builds the graph of one training step: soft tokens after a cached prompt, the attention that they
 * pay to it in the judged layers, the loss, and the loss's gradient. It ends with the last of them.
 *
 * Inputs: `embeddings [T, hidden]`, the rotary tables `[T, headDim / 2]`, `past_keys.L` and
 * `past_values.L [P, kvHeads, headDim]` (`P` of a layer that slides is what it holds),
 * `past_mask.W [1, T, 1, P]` of each window (`pastMask`), `target [judged, groups · heads, P]`,
 * `layer_weights [judged, 1, 1]`, `gradients [1]` (whether they are wanted), and the adapter tensors.
 * Outputs: `loss` (a scalar), `attention [judged, groups · heads, P]`, and the gradients, `gradient.NAME`, in
 * the shape of their inputs; where they are not wanted, they are empty and cost nothing. Adapters that
 * the loss does not depend on, those after the last judged attention, have no gradient.
 */
export function buildSoftGraph(model: StepModel, options: SoftGraphOptions): Graph {
  const { tokens, judged, groups, past, adapters } = options;
  const { hidden, kvHeads, headDim, layerKinds } = model;
  const compared = { heads: groups * model.heads, kvHeads: groups * kvHeads, headDim };
  const [first = 0] = judged;
  const pastTokens = openSize(layerKinds[first]?.window);
  const graph = createGraph("soft");
  graph.input("embeddings", "float32", [tokens, hidden]);
  declareRotary(graph, model, tokens);
  graph.input("target", "float32", [judged.length, compared.heads, pastTokens]);
  graph.input("layer_weights", "float32", [judged.length, 1, 1]);
  graph.input("gradients", "bool", [1]);
  for (const window of windowsOf(model)) {
    graph.input(maskName(window), "float32", [1, tokens, 1, openSize(window)]);
  }
  const cached = layerKinds.map(({ window }, layer) => {
    const input = (part: string) =>
      pastInput(graph, `past_${part}.${layer}`, past, [openSize(window), kvHeads, headDim]);
    const length = graph.op("Shape", [`past_keys.${layer}`], {
      attributes: { start: { int: 0 }, end: { int: 1 } },
    });
    return {
      pastKeys: input("keys"),
      pastValues: input("values"),
      parts: graph.op("Concat", [length, graph.integers([tokens])], {
        attributes: { axis: { int: 0 } },
      }),
      ...(window === undefined ? {} : { sliding: { window, mask: maskName(window) } }),
    };
  });
  const maps = emitAttention(graph, model, { tokens, judged, groups, adapters, cached });
  const attention = named(graph, "attention", maps);
  const loss = named(
    graph,
    "loss",
    emitSoftLoss(graph, { ...options, ...compared, layers: judged.length }, {
      attention,
      target: "target",
      layerWeights: "layer_weights",
    }),
  );
  graph.output("loss", "float32", []);
  graph.output("attention", "float32", [judged.length, compared.heads, pastTokens]);
  emitGradients(graph, loss, [
    { name: "embeddings", shape: [tokens, hidden] },
    ...(adapters ? adapterTensors(model, adapters) : []),
  ]);
  return graph.build();
}

/** Layers of one window hold equally many tokens. */
export function openSize(window: number | undefined): string {
  return window === undefined ? "P" : `P${window}`;
}

interface CachedLayer {
  readonly pastKeys: Value;
  readonly pastValues: Value;
  /** Cached and soft tokens, int64 `[2]`. */
  readonly parts: Value;
  readonly sliding?: SoftWindow;
}

function pastInput(
  graph: GraphBuilder,
  name: string,
  type: SoftGraphOptions["past"],
  shape: readonly Dimension[],
): Value {
  const value = graph.input(name, type, shape);
  if (type === "float32") return value;
  return cast(graph, value, "float32");
}

function named(graph: GraphBuilder, name: string, value: Value): Value {
  graph.ops("Identity", [value], 1, { names: [name] });
  return name;
}

/** `[judged, groups · heads, P]`. */
function emitAttention(
  graph: GraphBuilder,
  model: StepModel,
  { tokens, judged, groups, adapters, cached }: {
    tokens: number;
    judged: readonly number[];
    groups: number;
    adapters: AdapterShape | undefined;
    cached: readonly CachedLayer[];
  },
): Value {
  const shape: SoftShape = { ...model, tokens };
  const layers = model.layers.map((_, layer) => declareLayer(graph, model, layer, adapters));
  const maps: Value[] = [];
  emitLayers(graph, model, layers, {
    rows: "embeddings",
    arithmetic: "float",
    attend(rotated, layer) {
      const past = cached[layer];
      if (!past) return undefined;
      const weights = softWeights(graph, shape, { ...rotated, ...past }, past.sliding);
      if (judged.includes(layer)) maps.push(meanPastAttention(graph, shape, weights, groups));
      if (layer === judged.at(-1)) return undefined;
      return softMix(graph, shape, weights, { ...rotated, ...past });
    },
  });
  return graph.op("Concat", maps, { attributes: { axis: { int: 0 } } });
}

interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Puts the way back into a branch, so that it costs nothing where it is not wanted. */
export function emitGradients(graph: GraphBuilder, loss: Value, by: readonly Parameter[]): void {
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
