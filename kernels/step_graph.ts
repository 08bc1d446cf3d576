import { createGraph, type Graph, type GraphBuilder, MICROSOFT, type Value } from "./onnx/graph.ts";
import {
  decodeAttention,
  type DecodeHelpers,
  groupDiagonal,
  type HeadShape,
  nothing,
  prefillAttention,
  type SequenceLengths,
} from "./attention_nodes.ts";
import { type Arithmetic, declareWeight, type Product, type Weight } from "./weight.ts";
import { declareEmbedding, type EmbeddingRows } from "./embedding.ts";

/** A product and, where the checkpoint has one, the bias added to it. */
export interface Linear {
  readonly weight: Weight;
  /** `[rows]`. */
  readonly bias?: Float32Array;
}

/** Weights of one transformer layer. Norms are small and travel inside the graph. */
export interface LayerWeights {
  readonly attentionNorm: Float32Array;
  /** Queries, keys, values: one fused product or three, in this order. */
  readonly qkv: readonly Linear[];
  readonly queryNorm?: Float32Array;
  readonly keyNorm?: Float32Array;
  readonly attentionOutput: Linear;
  readonly mlpNorm: Float32Array;
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
}

/** All that the step graph is built from. */
export interface StepModel extends HeadShape {
  readonly hidden: number;
  readonly intermediate: number;
  readonly vocabulary: number;
  readonly rmsEpsilon: number;
  readonly embedding: Weight;
  /** Absent: tied to the embedding. */
  readonly output?: Weight;
  readonly finalNorm: Float32Array;
  readonly layers: readonly LayerWeights[];
  /** Arithmetic of products with many rows; single rows always use `integer`. */
  readonly prefillArithmetic: Arithmetic;
}

interface DeclaredLayer
  extends Omit<LayerWeights, "qkv" | "attentionOutput" | "gate" | "up" | "down"> {
  readonly qkv: Apply;
  readonly attentionOutput: Apply;
  readonly gate: Apply;
  readonly up: Apply;
  readonly down: Apply;
  readonly pastKeys: Value;
  readonly pastValues: Value;
}

type Apply = (builder: GraphBuilder, rows: Value, arithmetic: Arithmetic) => Value;

interface Shared {
  readonly model: StepModel;
  readonly layers: readonly DeclaredLayer[];
  readonly embedding: EmbeddingRows;
  readonly output: Product;
  readonly lengths: SequenceLengths;
  readonly helpers: DecodeHelpers;
  readonly observe: Value;
}

/**
 * Builds the graph of one step: prefill chunk, decode step, soft tokens and lookahead alike.
 *
 * Inputs: `observe` (whether attention is to be summed), `ids [S]`, `embeddings [E, hidden]` (rows
 * that follow the ids; usually none), `cos` and `sin [T, headDim / 2]` with `T = S + E`, `rows [R]`
 * (which new tokens get logits), `past_keys.L` and `past_values.L [1, P, kvHeads · headDim]`.
 * Outputs: `logits [R, vocabulary]`, `entries [2 · layers, T, kvHeads · headDim]` (rotated keys and
 * values by turns), `queries.L [1, T, heads · headDim]`, rotated, and `received.L [heads, P + T]`: the
 * attention that each key received from the new tokens, summed over them (empty unless observed).
 */
export function buildStepGraph(model: StepModel): Graph {
  const graph = createGraph("step");
  const { headDim, heads, kvHeads, hidden } = model;
  const width = kvHeads * headDim;
  graph.input("observe", "bool", [1]);
  graph.input("ids", "int64", ["S"]);
  graph.input("embeddings", "float32", ["E", hidden]);
  graph.input("cos", "float32", ["T", headDim / 2]);
  graph.input("sin", "float32", ["T", headDim / 2]);
  graph.input("rows", "int64", ["R"]);
  const embedding = declareEmbedding(graph, model.embedding);
  const shared: Shared = {
    model,
    embedding,
    output: model.output ? declareWeight(graph, model.output) : embedding.product,
    layers: model.layers.map((layer, index) => declareLayer(graph, layer, index, width)),
    lengths: sequenceLengths(graph),
    helpers: { diagonal: groupDiagonal(graph, model), parts: pastAndOne(graph) },
    observe: graph.op("Squeeze", ["observe", graph.integers([0])]),
  };
  const branches = { decode: graph.branch("decode"), prefill: graph.branch("prefill") };
  const ports: [string, (string | number)[]][] = [
    ["logits", ["R", model.vocabulary]],
    ["entries", [2 * model.layers.length, "T", width]],
    ...model.layers.map((_, layer): [string, (string | number)[]] => [
      `queries.${layer}`,
      [1, "T", heads * headDim],
    ]),
    ...model.layers.map((_, layer): [string, (string | number)[]] => [
      `received.${layer}`,
      [heads, "N"],
    ]),
  ];
  for (const phase of ["decode", "prefill"] as const) {
    const outputs = emitStep(branches[phase], shared, phase);
    ports.forEach(([, shape], index) => {
      branches[phase].output(outputs[index] ?? "", "float32", shape);
    });
  }
  graph.ops("If", [isDecodeStep(graph)], ports.length, {
    names: ports.map(([name]) => name),
    attributes: {
      then_branch: { graph: branches.decode.build() },
      else_branch: { graph: branches.prefill.build() },
    },
  });
  for (const [name, shape] of ports) graph.output(name, "float32", shape);
  return graph.build();
}

function size(graph: GraphBuilder, value: Value, axis: number): Value {
  return graph.op("Shape", [value], {
    attributes: { start: { int: axis }, end: { int: axis + 1 } },
  });
}

const newTokens = (graph: GraphBuilder) => size(graph, "cos", 0);
const pastTokens = (graph: GraphBuilder) => size(graph, "past_keys.0", 1);

function pastAndOne(graph: GraphBuilder): Value {
  return graph.op("Concat", [pastTokens(graph), graph.integers([1])], {
    attributes: { axis: { int: 0 } },
  });
}

function sequenceLengths(graph: GraphBuilder): SequenceLengths {
  const total = graph.op("Cast", [
    graph.op("Add", [pastTokens(graph), newTokens(graph)]),
  ], { attributes: { to: { int: 6 } } });
  return {
    last: graph.op("Sub", [total, graph.constant(Int32Array.of(1), [1])]),
    total: graph.op("Squeeze", [total, graph.integers([0])]),
  };
}

// The decode branch multiplies with the past as it lies, which must not be empty.
function isDecodeStep(graph: GraphBuilder): Value {
  const one = graph.integers([1]);
  const single = graph.op("Equal", [newTokens(graph), one]);
  const past = graph.op("GreaterOrEqual", [pastTokens(graph), one]);
  const plain = graph.op("And", [past, graph.op("Not", ["observe"])]);
  return graph.op("Squeeze", [graph.op("And", [single, plain]), graph.integers([0])]);
}

function declareLinear(graph: GraphBuilder, { weight, bias }: Linear): Apply {
  const product = declareWeight(graph, weight);
  if (!bias) return product;
  const constant = graph.constant(bias, [bias.length]);
  return (builder, rows, arithmetic) =>
    builder.op("Add", [product(builder, rows, arithmetic), constant]);
}

function declareLayer(
  graph: GraphBuilder,
  layer: LayerWeights,
  index: number,
  width: number,
): DeclaredLayer {
  const parts = layer.qkv.map((linear) => declareLinear(graph, linear));
  const qkv: Apply = (builder, rows, arithmetic) => {
    const packed = parts.map((part) => part(builder, rows, arithmetic));
    const [first = ""] = packed;
    return packed.length === 1
      ? first
      : builder.op("Concat", packed, { attributes: { axis: { int: 1 } } });
  };
  return {
    ...layer,
    qkv,
    attentionOutput: declareLinear(graph, layer.attentionOutput),
    gate: declareLinear(graph, layer.gate),
    up: declareLinear(graph, layer.up),
    down: declareLinear(graph, layer.down),
    pastKeys: graph.input(`past_keys.${index}`, "float32", [1, "P", width]),
    pastValues: graph.input(`past_values.${index}`, "float32", [1, "P", width]),
  };
}

type Phase = "decode" | "prefill";

function emitStep(builder: GraphBuilder, shared: Shared, phase: Phase): Value[] {
  const { model, embedding, output } = shared;
  const arithmetic = phase === "decode" ? "integer" : model.prefillArithmetic;
  const entries: Value[] = [];
  const queries: Value[] = [];
  const received: Value[] = [];
  let stream = builder.op("Concat", [embedding.lookUp(builder, "ids"), "embeddings"], {
    attributes: { axis: { int: 0 } },
  });
  let update: Value | undefined;
  const normalise = (norm: Float32Array): Value => {
    const result = residualNorm(builder, stream, update, norm, model.rmsEpsilon);
    stream = result.stream;
    return result.normalised;
  };
  for (const layer of shared.layers) {
    const qkv = layer.qkv(builder, normalise(layer.attentionNorm), arithmetic);
    const rotated = rotate(builder, model, layer, qkv);
    const attention = { ...rotated, pastKeys: layer.pastKeys, pastValues: layer.pastValues };
    const result = phase === "decode"
      ? {
        mixed: decodeAttention(builder, model, attention, shared.helpers),
        received: nothing(builder, model.heads),
      }
      : prefillAttention(builder, model, attention, shared.lengths, shared.observe);
    received.push(result.received);
    const mixed = builder.op("Squeeze", [result.mixed, builder.integers([0])]);
    update = layer.attentionOutput(builder, mixed, arithmetic);
    const normalised = normalise(layer.mlpNorm);
    update = layer.down(builder, gated(builder, layer, normalised, arithmetic), arithmetic);
    queries.push(rotated.queries);
    entries.push(rotated.keys, rotated.values);
  }
  const last = builder.op("Gather", [normalise(model.finalNorm), "rows"]);
  // The first token of an answer decides the rest; rounding it twice costs a prompt nothing.
  const logits = output(builder, last, phase === "decode" ? "integer" : "twice");
  const stacked = builder.op("Concat", entries, { attributes: { axis: { int: 0 } } });
  return [logits, stacked, ...queries, ...received];
}

function residualNorm(
  builder: GraphBuilder,
  stream: Value,
  update: Value | undefined,
  norm: Float32Array,
  epsilon: number,
): { stream: Value; normalised: Value } {
  const scale = builder.constant(norm, [norm.length]);
  const attributes = { epsilon: { float: epsilon } };
  if (update === undefined) {
    return { stream, normalised: rmsNorm(builder, stream, norm, epsilon) };
  }
  const [normalised = "", , , sum = ""] = builder.ops(
    "SkipSimplifiedLayerNormalization",
    [
      stream,
      update,
      scale,
    ],
    4,
    { domain: MICROSOFT, attributes },
  );
  return { stream: sum, normalised };
}

function rmsNorm(builder: GraphBuilder, rows: Value, norm: Float32Array, epsilon: number): Value {
  return builder.op("SimplifiedLayerNormalization", [rows, builder.constant(norm, [norm.length])], {
    attributes: { epsilon: { float: epsilon }, axis: { int: -1 } },
  });
}

function split(builder: GraphBuilder, value: Value, sizes: readonly number[]): Value[] {
  return builder.ops("Split", [value, builder.integers(sizes)], sizes.length, {
    attributes: { axis: { int: -1 } },
  });
}

function rotate(
  builder: GraphBuilder,
  { heads, kvHeads, headDim, rmsEpsilon }: StepModel,
  { queryNorm, keyNorm }: DeclaredLayer,
  qkv: Value,
): { queries: Value; keys: Value; values: Value } {
  const [queryWidth, keyWidth] = [heads * headDim, kvHeads * headDim];
  const [packed = "", values = ""] = split(
    builder,
    builder.op("Unsqueeze", [qkv, builder.integers([0])]),
    [queryWidth + keyWidth, keyWidth],
  );
  let plain = packed;
  if (queryNorm && keyNorm) {
    const [queries = "", keys = ""] = split(builder, packed, [queryWidth, keyWidth]);
    const perHead = (value: Value, norm: Float32Array, width: number) =>
      builder.op("Reshape", [
        rmsNorm(
          builder,
          builder.op("Reshape", [value, builder.integers([-1, headDim])]),
          norm,
          rmsEpsilon,
        ),
        builder.integers([1, -1, width]),
      ]);
    plain = builder.op("Concat", [
      perHead(queries, queryNorm, queryWidth),
      perHead(keys, keyNorm, keyWidth),
    ], { attributes: { axis: { int: -1 } } });
  }
  const turned = builder.op("RotaryEmbedding", [plain, builder.integers([0]), "cos", "sin"], {
    domain: MICROSOFT,
  });
  const [queries = "", keys = ""] = split(builder, turned, [queryWidth, keyWidth]);
  return { queries, keys, values };
}

function gated(
  builder: GraphBuilder,
  { gate, up }: DeclaredLayer,
  rows: Value,
  arithmetic: Arithmetic,
): Value {
  // QuickGelu with alpha 1 is SiLU in one kernel.
  const active = builder.op("QuickGelu", [gate(builder, rows, arithmetic)], {
    domain: MICROSOFT,
    attributes: { alpha: { float: 1 } },
  });
  return builder.op("Mul", [active, up(builder, rows, arithmetic)]);
}
