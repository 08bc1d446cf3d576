import { type AdapterShape, type Projection, projectionSize } from "./adapters.ts";
import { type AdapterProduct, declareAdapter } from "./adapter_nodes.ts";
import { type Dimension, type GraphBuilder, MICROSOFT, type Value } from "./onnx/graph.ts";
import type { HeadShape } from "./attention_nodes.ts";
import { rotaryNames } from "./rotary_inputs.ts";
import type { LayerWeights, Linear, StepModel } from "./step_model.ts";
import { type Arithmetic, declareWeight } from "./weight.ts";

type Apply = (builder: GraphBuilder, rows: Value, arithmetic: Arithmetic) => Value;

/** A layer whose weights are declared; its products can be used in every branch. */
export interface DeclaredLayer
  extends Omit<LayerWeights, "qkv" | "attentionOutput" | "gate" | "up" | "down"> {
  /** Queries, keys and values side by side. */
  readonly qkv: Apply;
  readonly attentionOutput: Apply;
  readonly gate: Apply;
  readonly up: Apply;
  readonly down: Apply;
}

/** Tensors of a layer's attention that its new tokens bring, `[1, T, width]` each. */
export interface RotatedTokens {
  readonly queries: Value;
  readonly keys: Value;
  readonly values: Value;
}

/** The same before they are rotated, `[1, T, width]` each. */
export interface UnrotatedTokens {
  /** Queries; where there are no other keys and values, all three side by side. */
  readonly queries: Value;
  /** Empty where they lie behind the queries. */
  readonly keys: Value;
  /** Empty where they lie behind the keys. */
  readonly values: Value;
  /** Index of the rotary table that queries and keys are to be rotated by, where they are. */
  readonly rope: number | undefined;
}

/** Gives the mixed values of a layer, `[T, heads · headDim]`; without them, layers end there. */
export type Attend<Tokens> = (
  tokens: Tokens,
  layer: number,
  /** What the layer's attention reads, `[T, hidden]`. */
  input: Value,
) => Value | undefined;

/** What {@linkcode emitLayers} needs besides the layers. */
export type LayersOptions =
  & {
    /** Embeddings of the new tokens, `[T, hidden]`. */
    readonly rows: Value;
    readonly arithmetic: Arithmetic;
  }
  & (
    | { readonly attend: Attend<RotatedTokens> }
    /** Attention that rotates by itself. */
    | { readonly attendUnrotated: Attend<UnrotatedTokens> }
  );

/**
 * Declares a layer's weights in the outermost graph.
 *
 * @param adapters Products that have adapters; their tensors become inputs of the graph.
 * @param rank Of the adapters, where each step has its own. @default {that of the shape}
 */
export function declareLayer(
  graph: GraphBuilder,
  model: StepModel,
  index: number,
  adapters?: AdapterShape,
  rank: Dimension | undefined = adapters?.rank,
): DeclaredLayer {
  const layer = model.layers[index];
  if (!layer) throw new RangeError(`Cannot declare layer ${index} of ${model.layers.length}`);
  const adapter = (projection: Projection): AdapterProduct | undefined =>
    adapters?.projections.includes(projection)
      ? declareAdapter(graph, model, { layer: index, projection, rank: rank ?? adapters.rank })
      : undefined;
  const linear = (weights: Linear, projection: Projection): Apply =>
    adapted(declareLinear(graph, weights), adapter(projection));
  return {
    ...layer,
    qkv: declareQkv(graph, model, layer, [adapter("q"), adapter("k"), adapter("v")]),
    attentionOutput: linear(layer.attentionOutput, "o"),
    gate: linear(layer.gate, "gate"),
    up: linear(layer.up, "up"),
    down: linear(layer.down, "down"),
  };
}

function declareLinear(graph: GraphBuilder, { weight, bias }: Linear): Apply {
  const product = declareWeight(graph, weight);
  if (!bias) return product;
  const constant = graph.constant(bias, [bias.length]);
  return (builder, rows, arithmetic) =>
    builder.op("Add", [product(builder, rows, arithmetic), constant]);
}

function adapted(product: Apply, adapter: AdapterProduct | undefined): Apply {
  if (!adapter) return product;
  return (builder, rows, arithmetic) =>
    builder.op("Add", [product(builder, rows, arithmetic), adapter(builder, rows)]);
}

function declareQkv(
  graph: GraphBuilder,
  model: StepModel,
  layer: LayerWeights,
  adapters: readonly (AdapterProduct | undefined)[],
): Apply {
  const parts = layer.qkv.map((linear) => declareLinear(graph, linear));
  const join = (builder: GraphBuilder, values: readonly Value[]): Value => {
    const [first = ""] = values;
    return values.length === 1
      ? first
      : builder.op("Concat", values, { attributes: { axis: { int: 1 } } });
  };
  const plain: Apply = (builder, rows, arithmetic) =>
    join(builder, parts.map((part) => part(builder, rows, arithmetic)));
  if (adapters.every((adapter) => adapter === undefined)) return plain;
  const widths = (["q", "k", "v"] as const).map((name) => projectionSize(model, name).outputs);
  return (builder, rows, arithmetic) => {
    const apart = split(builder, plain(builder, rows, arithmetic), widths);
    return join(
      builder,
      apart.map((part, index) => {
        const added = adapters[index]?.(builder, rows);
        return added === undefined ? part : builder.op("Add", [part, added]);
      }),
    );
  };
}

/**
 * Emits the layers.
 *
 * @returns What normalises the stream after the last layer.
 */
export function emitLayers(
  builder: GraphBuilder,
  model: StepModel,
  layers: readonly DeclaredLayer[],
  { rows, arithmetic, ...attention }: LayersOptions,
): (norm: Float32Array) => Value {
  let stream = rows;
  let update: Value | undefined;
  const normalise = (norm: Float32Array): Value => {
    const result = residualNorm(builder, stream, update, norm, model.rmsEpsilon);
    stream = result.stream;
    return result.normalised;
  };
  for (const [index, layer] of layers.entries()) {
    const input = normalise(layer.attentionNorm);
    const qkv = layer.qkv(builder, input, arithmetic);
    const { rope } = model.layerKinds[index] ?? {};
    const mixed = "attend" in attention
      ? attention.attend(rotate(builder, model, layer, { qkv, rope }), index, input)
      : attention.attendUnrotated(unrotated(builder, model, layer, { qkv, rope }), index, input);
    if (mixed === undefined) break;
    const attended = layer.attentionOutput(builder, mixed, arithmetic);
    update = outputNorm(builder, model, attended, layer.attentionOutputNorm);
    const active = gated(builder, model, layer, { rows: normalise(layer.mlpNorm), arithmetic });
    const fed = layer.down(builder, active, arithmetic);
    update = outputNorm(builder, model, fed, layer.mlpOutputNorm);
  }
  return normalise;
}

/** What a block gives to the stream. */
function outputNorm(
  builder: GraphBuilder,
  { rmsEpsilon }: StepModel,
  update: Value,
  norm: Float32Array | undefined,
): Value {
  return norm ? rmsNorm(builder, update, norm, rmsEpsilon) : update;
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
  model: StepModel,
  { queryNorm, keyNorm }: DeclaredLayer,
  { qkv, rope }: { qkv: Value; rope: number | undefined },
): RotatedTokens {
  const { heads, kvHeads, headDim } = model;
  const [queryWidth, keyWidth] = [heads * headDim, kvHeads * headDim];
  const [packed = "", values = ""] = split(
    builder,
    builder.op("Unsqueeze", [qkv, builder.integers([0])]),
    [queryWidth + keyWidth, keyWidth],
  );
  const plain = queryNorm && keyNorm
    ? builder.op(
      "Concat",
      split(builder, packed, [queryWidth, keyWidth]).map((value, index) =>
        index === 0
          ? normPerHead(builder, model, value, queryNorm, queryWidth)
          : normPerHead(builder, model, value, keyNorm, keyWidth)
      ),
      { attributes: { axis: { int: -1 } } },
    )
    : packed;
  const turned = rope === undefined
    ? plain
    : builder.op("RotaryEmbedding", [plain, builder.integers([0]), ...rotaryNames(rope)], {
      domain: MICROSOFT,
    });
  const [queries = "", keys = ""] = split(builder, turned, [queryWidth, keyWidth]);
  return { queries, keys, values };
}

/** Tokens for an operator that takes them apart and rotates them by itself. */
export function unrotated(
  builder: GraphBuilder,
  model: HeadShape & Pick<StepModel, "rmsEpsilon">,
  { queryNorm, keyNorm }: Pick<LayerWeights, "queryNorm" | "keyNorm">,
  { qkv, rope }: { qkv: Value; rope: number | undefined },
): UnrotatedTokens {
  const { heads, kvHeads, headDim } = model;
  const packed = builder.op("Unsqueeze", [qkv, builder.integers([0])]);
  if (!queryNorm || !keyNorm) return { queries: packed, keys: "", values: "", rope };
  const [queryWidth, keyWidth] = [heads * headDim, kvHeads * headDim];
  const [queries = "", keys = "", values = ""] = split(
    builder,
    packed,
    [queryWidth, keyWidth, keyWidth],
  );
  return {
    queries: normPerHead(builder, model, queries, queryNorm, queryWidth),
    keys: normPerHead(builder, model, keys, keyNorm, keyWidth),
    values,
    rope,
  };
}

/** Each head of `[1, T, width]`, normalised. */
function normPerHead(
  builder: GraphBuilder,
  { headDim, rmsEpsilon }: Pick<StepModel, "headDim" | "rmsEpsilon">,
  value: Value,
  norm: Float32Array,
  width: number,
): Value {
  const heads = builder.op("Reshape", [value, builder.integers([-1, headDim])]);
  const normalised = rmsNorm(builder, heads, norm, rmsEpsilon);
  return builder.op("Reshape", [normalised, builder.integers([1, -1, width])]);
}

function gated(
  builder: GraphBuilder,
  { activation }: StepModel,
  { gate, up }: DeclaredLayer,
  { rows, arithmetic }: { rows: Value; arithmetic: Arithmetic },
): Value {
  const open = gate(builder, rows, arithmetic);
  const active = activation === "gelu_tanh"
    ? builder.op("FastGelu", [open], { domain: MICROSOFT })
    // QuickGelu with alpha 1 is SiLU in one kernel.
    : builder.op("QuickGelu", [open], { domain: MICROSOFT, attributes: { alpha: { float: 1 } } });
  return builder.op("Mul", [active, up(builder, rows, arithmetic)]);
}
