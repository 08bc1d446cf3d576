import type { AdapterShape } from "./adapters.ts";
import { growsInPlace, nothing } from "./attention_nodes.ts";
import { toldApart } from "./attention_sums.ts";
import { presentValues } from "./branches.ts";
import { declareEmbedding, type EmbeddingRows, scaledRows } from "./embedding.ts";
import { type DeclaredLayer, declareLayer, emitLayers, type RotatedTokens } from "./layer_nodes.ts";
import { declarePieces } from "./matrix_pieces.ts";
import { observedLayers } from "./observed_layers.ts";
import { declareRotary } from "./rotary_inputs.ts";
import { cast } from "./onnx/cast.ts";
import {
  createGraph,
  type Dimension,
  type Graph,
  type GraphBuilder,
  type Value,
} from "./onnx/graph.ts";
import {
  type EitherPhase,
  type FixedPhase,
  onePieces,
  phaseAttention,
  type StepShape,
} from "./phase_attention.ts";
import { declareSequences, manySequences } from "./sequence_attention.ts";
import { sequenceNames } from "./sequence_names.ts";
import type { StepModel } from "./step_model.ts";
import { type OutputProduct, outputProduct } from "./output_logits.ts";
import { type StepArithmetic, stepArithmetic } from "./shared_product.ts";
import { type Arithmetic, declareWeight } from "./weight.ts";

export type { LayerWeights, Linear, StepModel } from "./step_model.ts";

/** How a step graph departs from the usual one. */
export interface StepGraphOptions {
  /**
   * Products that have adapters. Their tensors (`adapterTensors`) become inputs of the graph and act
   * on every new token; the graph then only has the branch for many tokens, unless it holds one copy.
   */
  readonly adapters?: AdapterShape;
  /**
   * Sequences that a decoding step may advance at once: each new token is then one of a sequence of its
   * own. Each takes inputs of its own, so that one more costs every step some time.
   *
   * @default {1}
   */
  readonly sequences?: number;
  /**
   * Packed copies of each matrix. `two`: one branch for one token and one for many, each with its own
   * products, which is fastest. `one`: no such branches; products are shared, and the tokens of a prompt
   * are multiplied in bytes twice. Adapters may then be left out of a step: their rank is 0.
   *
   * @default {"two"}
   */
  readonly copies?: WeightCopies;
}

/** How often the weights lie in memory while a model runs. */
export type WeightCopies = "one" | "two";

interface Shared extends StepShape {
  readonly model: StepModel;
  readonly layers: readonly DeclaredLayer[];
  readonly embedding: EmbeddingRows;
  readonly output: OutputProduct;
}

/**
 * Builds the graph of one step: prefill chunk, decode step, soft tokens and lookahead alike.
 *
 * Inputs: `observe` (whether attention is to be summed), `rounded` (whether tokens of one sequence are
 * multiplied in bytes, as those of an answer), `apart [1]` (how many of the first new tokens are told
 * apart from the others, if any), `ids [S]`, `embeddings [E, hidden]` (rows that follow the ids; usually none), the rotary tables `[T, headDim / 2]` with `T = S + E`, `rows [R]`
 * (which new tokens get logits), `past_keys.L` and `past_values.L [1, kvHeads, C, headDim]`, of which
 * each head holds the first `held [sequences, layers]` slots (of a sliding layer with several KV heads
 * `[P, kvHeads, headDim]`, all held; less than the window), `ragged [sequences, layers]` (whether the heads
 * of a layer hold different numbers of tokens: its past then consists of segments, one for each KV head)
 * and `segments [sequences, layers, 2 · kvHeads]` (where those begin, and where they end).
 * Outputs: `logits [R, vocabulary]`, `entries [2 · layers, T, kvHeads · headDim]` (rotated keys and
 * values by turns), `queries.L [1, T, heads · headDim]`, rotated, and `attention_sums.L` of global layers: the attention that
 * each key received from the new tokens, summed over them, `[heads, P + T]` as flat numbers, of ragged
 * heads with as many columns in each row as the head holds (empty unless observed; where tokens are
 * told apart, first the most that one of them pays, then the sums of the others), and `input_norms
 * [global layers · T]`: norms of what their attention reads (empty in a decoding step), and `layer_inputs
 * [global layers · I, hidden]`: that itself, of all tokens or none, as `wanted_inputs [1]` says. Of layers that
 * grow in place also `present_keys.L` and `present_values.L [1, kvHeads, C, headDim]`, the past with new
 * entries behind what is held: given as outputs the memory that the past is in, with slots to spare, these
 * are written there and nothing is copied. They are empty where heads hold different numbers.
 *
 * With one copy of the weights `wanted_queries [1]` says how many tokens' queries are given: all or none.
 * With several `sequences` there are inputs for each further one ({@linkcode declareSequences}), and
 * `sequences [1]`: above 1, new token `i` is the next one of sequence `i`.
 */
export function buildStepGraph(
  model: StepModel,
  { adapters, sequences = 1, copies = "two" }: StepGraphOptions = {},
): Graph {
  const graph = createGraph("step");
  const { kvHeads, hidden } = model;
  const layers = model.layers.length;
  graph.input("observe", "bool", [1]);
  graph.input("rounded", "bool", [1]);
  graph.input("apart", "int64", [1]);
  graph.input("ids", "int64", ["S"]);
  graph.input("embeddings", "float32", ["E", hidden]);
  declareRotary(graph, model, "T");
  graph.input("rows", "int64", ["R"]);
  if (copies === "one") graph.input(WANTED_QUERIES, "int64", [1]);
  graph.input(WANTED_INPUTS, "int64", [1]);
  graph.input("held", "int32", [sequences, layers]);
  graph.input("ragged", "bool", [sequences, layers]);
  graph.input("segments", "int64", [sequences, layers, 2 * kvHeads]);
  declareSequences(graph, model, sequences);
  const embedding = declareEmbedding(graph, model.embedding, true);
  const shared: Shared = {
    model,
    embedding,
    output: declareOutput(graph, model, embedding, copies),
    layers: model.layers.map((_, index) =>
      declareLayer(graph, model, index, adapters, copies === "one" ? "rank" : undefined)
    ),
    observe: graph.op("Squeeze", ["observe", graph.integers([0])]),
    rounded: graph.op("Squeeze", ["rounded", graph.integers([0])]),
    apart: toldApart(graph, "apart"),
    ragged: raggedLayers(graph, layers),
    tokens: newTokens(graph),
    many: sequences > 1 ? manySequences(graph, sequences) : undefined,
    sequences,
  };
  // With adapters alone nothing is kept: what would be written behind the past is not wanted.
  const ports = portsOf(model, adapters && copies !== "one" ? 0 : sequences);
  if (copies === "one" || adapters) {
    const phase = copies === "one" ? either(graph, shared) : "prefill";
    const outputs = emitStep(graph, shared, phase, ENTRIES);
    for (const [index, { name }] of ports.entries()) {
      const value = outputs[index] ?? "";
      if (value !== name) graph.ops("Identity", [value], 1, { names: [name] });
    }
  } else {
    emitBranches(graph, shared, ports);
  }
  const logits = shared.output.logits(graph, FACTORS, size(graph, "rows", 0));
  graph.ops("Identity", [logits], 1, { names: ["logits"] });
  graph.output("logits", "float32", ["R", model.vocabulary]);
  for (const { name, shape } of ports) {
    if (name !== FACTORS) graph.output(name, "float32", shape);
  }
  return graph.build();
}

function declareOutput(
  graph: GraphBuilder,
  { embedding, output }: StepModel,
  { product }: EmbeddingRows,
  copies: WeightCopies,
): OutputProduct {
  const matrix = output ?? embedding;
  if (copies === "one" && matrix.kind === "blocks") {
    return outputProduct(matrix, declarePieces(graph, matrix));
  }
  return outputProduct(matrix, output ? declareWeight(graph, output) : product);
}

/** What is multiplied with the output matrix behind the branches. */
const FACTORS = "output_factors";

/** New keys and values. */
const ENTRIES = "entries";

/** Tokens whose queries are wanted, `[1]`: all or none. An input where one graph serves both phases. */
export const WANTED_QUERIES = "wanted_queries";

/** Norms of what the attention of global layers reads. */
const INPUT_NORMS = "input_norms";

/** What the attention of global layers reads, layer by layer. */
export const LAYER_INPUTS = "layer_inputs";

/** Tokens of which that is wanted, `[1]`: all or none. */
export const WANTED_INPUTS = "wanted_inputs";

interface OutputPort {
  readonly name: string;
  readonly shape: readonly Dimension[];
}

function portsOf(model: StepModel, sequences: number): OutputPort[] {
  const { layers, hidden, heads, kvHeads, headDim } = model;
  const growing = [...layers.keys()].filter((layer) => grows(model, layer));
  return [
    { name: FACTORS, shape: ["F", hidden] },
    { name: ENTRIES, shape: [2 * layers.length, "T", kvHeads * headDim] },
    ...layers.map((_, layer) => ({ name: `queries.${layer}`, shape: [1, "T", heads * headDim] })),
    ...observedLayers(model).map((layer) => ({
      name: `attention_sums.${layer}`,
      shape: [`N${layer}`],
    })),
    { name: INPUT_NORMS, shape: ["I"] },
    { name: LAYER_INPUTS, shape: ["L", hidden] },
    ...growing.flatMap((layer) =>
      Array.from({ length: sequences }, (_, sequence) => sequenceNames(sequence))
        .flatMap(({ presentKeys, presentValues }) => [presentKeys(layer), presentValues(layer)])
        .map((name) => ({ name, shape: [1, kvHeads, `C.${name}`, headDim] }))
    ),
  ];
}

function grows(model: StepModel, layer: number): boolean {
  return growsInPlace(model, model.layerKinds[layer]?.window);
}

function emitBranches(graph: GraphBuilder, shared: Shared, ports: readonly OutputPort[]): void {
  const branch = (phase: FixedPhase): Graph => {
    const inner = graph.branch(phase);
    const outputs = emitStep(inner, shared, phase);
    ports.forEach(({ shape }, index) => inner.output(outputs[index] ?? "", "float32", shape));
    return inner.build();
  };
  const inBytes = graph.op("Or", [isDecodeStep(graph, shared), shared.rounded]);
  graph.ops("If", [inBytes], ports.length, {
    names: ports.map(({ name }) => name),
    attributes: {
      then_branch: { graph: branch("decode") },
      else_branch: { graph: branch("prefill") },
    },
  });
}

function size(graph: GraphBuilder, value: Value, axis: number): Value {
  return graph.op("Shape", [value], {
    attributes: { start: { int: axis }, end: { int: axis + 1 } },
  });
}

/** Of each layer: whether heads of any sequence hold different numbers of tokens, `[1]`. */
function raggedLayers(graph: GraphBuilder, layers: number): readonly Value[] {
  const any = graph.op("ReduceMax", [cast(graph, "ragged", "int32"), graph.integers([0])], {
    attributes: { keepdims: { int: 0 } },
  });
  return onePieces(graph, cast(graph, any, "bool"), layers);
}

const newTokens = (graph: GraphBuilder) => size(graph, "cos", 0);

// The decode branch multiplies with a past that must not be empty.
function isDecodeStep(graph: GraphBuilder, { many }: Pick<Shared, "many">): Value {
  const alone = [
    graph.op("Equal", [newTokens(graph), graph.integers([1])]),
    graph.op("Greater", [graph.op("ReduceMin", ["held"]), graph.constant(Int32Array.of(0), [1])]),
    graph.op("Not", ["observe"]),
  ].reduce((all, value) => graph.op("And", [all, value]));
  const scalar = graph.op("Reshape", [alone, graph.constant(new BigInt64Array(0), [0])]);
  return many === undefined ? scalar : graph.op("Or", [scalar, many.several]);
}

type Phase = FixedPhase | (EitherPhase & { readonly arithmetic: StepArithmetic });

function either(graph: GraphBuilder, shared: Shared): Exclude<Phase, FixedPhase> {
  const decode = isDecodeStep(graph, shared);
  const inBytes = graph.op("Or", [decode, shared.rounded]);
  return { decode, arithmetic: stepArithmetic(graph.op("Not", [inBytes]), shared.tokens) };
}

/** Rows of the token ids as the first layer takes them. */
function lookUp(builder: GraphBuilder, { model, embedding }: Shared): Value {
  return scaledRows(builder, model, embedding.lookUp(builder, "ids"));
}

/**
 * Emits a step.
 *
 * @param entriesName Of the entries, where no branch gives them. @default {made up}
 */
function emitStep(
  builder: GraphBuilder,
  shared: Shared,
  phase: Phase,
  entriesName?: string,
): Value[] {
  const { model, output } = shared;
  const arithmetic = arithmeticOf(phase);
  const entries: Value[] = [];
  const queries: Value[] = [];
  const attentionSums: Value[] = [];
  const inputNorms: Value[] = [];
  const layerInputs: Value[] = [];
  const rows = builder.op("Concat", [lookUp(builder, shared), "embeddings"], {
    attributes: { axis: { int: 0 } },
  });
  const presents: Value[] = [];
  let unobserved: Value | undefined;
  const mix = phaseAttention(builder, model, shared, phase);
  const attend = (tokens: RotatedTokens, layer: number, input: Value): Value => {
    const result = mix(tokens, layer);
    if (phase !== "decode" && model.layerKinds[layer]?.window === undefined) {
      inputNorms.push(rowNorms(builder, input));
      layerInputs.push(wantedRows(builder, input));
    }
    if (model.layerKinds[layer]?.window === undefined) {
      attentionSums.push(result.attentionSums ?? (unobserved ??= nothing(builder)));
    }
    if (grows(model, layer)) {
      presents.push(...presentValues(builder, model, shared.sequences, result.presents));
    }
    queries.push(typeof phase === "object" ? wanted(builder, tokens.queries) : tokens.queries);
    entries.push(tokens.keys, tokens.values);
    return builder.op("Squeeze", [result.mixed, builder.integers([0])]);
  };
  const normalise = emitLayers(builder, model, shared.layers, { rows, arithmetic, attend });
  const last = builder.op("Gather", [normalise(model.finalNorm), "rows"]);
  // The first token of an answer decides the rest; rounding it twice costs a prompt nothing.
  const twice = typeof phase === "object" ? phase.arithmetic.exact : phase === "prefill";
  const factors = output.factors(builder, last, twice);
  const stacked = builder.op("Concat", entries, {
    attributes: { axis: { int: 0 } },
    ...(entriesName === undefined ? {} : { names: [entriesName] }),
  });
  const norms = joinedNorms(builder, inputNorms);
  const read = builder.op(
    "Concat",
    layerInputs.length > 0 ? layerInputs : [noRows(builder, rows)],
    { attributes: { axis: { int: 0 } } },
  );
  return [factors, stacked, ...queries, ...attentionSums, norms, read, ...presents];
}

/** Queries, if they are wanted: an output that nobody fetches lies in memory to the end of a step. */
function wanted(builder: GraphBuilder, queries: Value): Value {
  return builder.op("Slice", [
    queries,
    builder.integers([0]),
    WANTED_QUERIES,
    builder.integers([1]),
  ]);
}

/** Rows of what attention reads, if they are wanted. */
export function wantedRows(builder: GraphBuilder, rows: Value): Value {
  return builder.op("Slice", [
    rows,
    builder.integers([0]),
    WANTED_INPUTS,
    builder.integers([0]),
  ]);
}

function noRows(builder: GraphBuilder, rows: Value): Value {
  const none = builder.integers([0]);
  return builder.op("Slice", [rows, none, none, none]);
}

/** Norms of rows, `[T]`. */
function rowNorms(builder: GraphBuilder, rows: Value): Value {
  return builder.op("ReduceL2", [rows, builder.integers([1])], {
    attributes: { keepdims: { int: 0 } },
  });
}

function joinedNorms(builder: GraphBuilder, norms: readonly Value[]): Value {
  if (norms.length === 0) return nothing(builder);
  return builder.op("Concat", norms, { attributes: { axis: { int: 0 } } });
}

/** A prompt's rounded activations would decide near ties in its answer. */
function arithmeticOf(phase: Phase): Arithmetic {
  if (typeof phase === "object") return phase.arithmetic;
  return phase === "decode" ? "integer" : "unpacked";
}
