import { declareEmbedding, scaledRows } from "./embedding.ts";
import { declareLayer, emitLayers } from "./layer_nodes.ts";
import { createGraph, type Graph, type GraphBuilder, type Value } from "./onnx/graph.ts";
import { declareRotary } from "./rotary_inputs.ts";
import { softMix, type SoftShape, softWeights, type SoftWindow } from "./soft_attention.ts";
import { emitGradients, maskName, openSize, windowsOf } from "./soft_graph.ts";
import type { StepModel } from "./step_model.ts";
import { declareWeight } from "./weight.ts";

/** How a restore graph is built. */
export interface RestoreGraphOptions {
  /** Soft tokens. */
  readonly tokens: number;
  /** Tokens that follow them. */
  readonly follows: number;
}

/** Name of the input that says which cached tokens of a global layer were dropped. */
export function droppedName(layer: number): string {
  return `dropped.${layer}`;
}

/** Keeps logarithms finite. */
const TINY = 1e-12;

/**
 * Builds the graph of one training step of soft tokens that restore: they stand behind a cached prompt and see
 * all of it; the tokens that follow see what was kept, the soft tokens and themselves. The loss compares
 * what is predicted next with what the full cache predicts.
 *
 * Inputs: `embeddings [T, hidden]`, `ids [F]` of the tokens that follow, the rotary tables of both,
 * `[T + F, headDim / 2]`, `past_keys.L` and `past_values.L [P, kvHeads, headDim]`, `dropped.L [kvHeads, 1,
 * 1, P]` of each global layer (0 where a token was kept, far below where not), `past_mask.W [1, T + F, 1,
 * P]` of each window, `target [F, vocabulary]` (probabilities), `row_weights [F, 1]`, `gradients [1]`.
 * Outputs: `loss`, the weighted sum of KL(target ‖ predicted), and `gradient.embeddings`.
 */
export function buildRestoreGraph(
  model: StepModel,
  { tokens, follows }: RestoreGraphOptions,
): Graph {
  const { hidden, layerKinds, vocabulary } = model;
  const all = tokens + follows;
  const graph = createGraph("restore");
  graph.input("embeddings", "float32", [tokens, hidden]);
  graph.input("ids", "int64", [follows]);
  declareRotary(graph, model, all);
  graph.input("target", "float32", [follows, vocabulary]);
  graph.input("row_weights", "float32", [follows, 1]);
  graph.input("gradients", "bool", [1]);
  for (const window of windowsOf(model)) {
    graph.input(maskName(window), "float32", [1, all, 1, openSize(window)]);
  }
  const past = layerKinds.map(({ window }, layer) =>
    pastOf(graph, model, layer, { window, tokens, follows })
  );
  const embedding = declareEmbedding(graph, model.embedding);
  const rows = graph.op("Concat", [
    "embeddings",
    scaledRows(graph, model, embedding.lookUp(graph, "ids")),
  ], { attributes: { axis: { int: 0 } } });
  const shape: SoftShape = { ...model, tokens: all };
  const layers = model.layers.map((_, layer) => declareLayer(graph, model, layer));
  const normalise = emitLayers(graph, model, layers, {
    rows,
    arithmetic: "float",
    attend(rotated, layer) {
      const cached = past[layer];
      if (!cached) return undefined;
      const weights = softWeights(graph, shape, { ...rotated, ...cached }, cached.seen);
      return softMix(graph, shape, weights, { ...rotated, ...cached });
    },
  });
  const last = graph.op("Slice", [
    normalise(model.finalNorm),
    graph.integers([tokens]),
    graph.integers([all]),
    graph.integers([0]),
  ]);
  const product = model.output ? declareWeight(graph, model.output) : embedding.product;
  const loss = emitDivergence(graph, product(graph, last, "float"));
  graph.output("loss", "float32", []);
  emitGradients(graph, loss, [{ name: "embeddings", shape: [tokens, hidden] }]);
  return graph.build();

  function emitDivergence(builder: GraphBuilder, logits: Value): Value {
    const logarithm = (value: Value) =>
      builder.op("Log", [builder.op("Add", [value, builder.constant(Float32Array.of(TINY), [])])]);
    const predicted = builder.op("Softmax", [logits], { attributes: { axis: { int: -1 } } });
    const terms = builder.op("Mul", [
      "target",
      builder.op("Sub", [logarithm("target"), logarithm(predicted)]),
    ]);
    const ofRows = builder.op("ReduceSum", [terms, builder.integers([1])]);
    const weighed = builder.op("Mul", [ofRows, "row_weights"]);
    builder.ops("ReduceSum", [weighed, builder.integers([0, 1])], 1, {
      names: ["loss"],
      attributes: { keepdims: { int: 0 } },
    });
    return "loss";
  }
}

interface CachedLayer {
  readonly pastKeys: Value;
  readonly pastValues: Value;
  /** Cached and new tokens, int64 `[2]`. */
  readonly parts: Value;
  readonly seen: SoftWindow;
}

function pastOf(
  graph: GraphBuilder,
  { kvHeads, headDim }: StepModel,
  layer: number,
  { window, tokens, follows }: RestoreGraphOptions & { readonly window: number | undefined },
): CachedLayer {
  const size = openSize(window);
  const input = (part: string) =>
    graph.input(`past_${part}.${layer}`, "float32", [size, kvHeads, headDim]);
  const [pastKeys, pastValues] = [input("keys"), input("values")];
  const length = graph.op("Shape", [pastKeys], {
    attributes: { start: { int: 0 }, end: { int: 1 } },
  });
  const parts = graph.op("Concat", [length, graph.integers([tokens + follows])], {
    attributes: { axis: { int: 0 } },
  });
  if (window !== undefined) {
    return { pastKeys, pastValues, parts, seen: { window, mask: maskName(window) } };
  }
  const rows = Float32Array.from({ length: tokens + follows }, (_, row) => row < tokens ? 0 : 1);
  const dropped = graph.input(droppedName(layer), "float32", [kvHeads, 1, 1, size]);
  const mask = graph.op("Mul", [graph.constant(rows, [1, rows.length, 1, 1]), dropped]);
  return { pastKeys, pastValues, parts, seen: { window: Infinity, mask } };
}
